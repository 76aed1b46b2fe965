//! Autoscalers of a release: whether they scale it, and whether they alone own its size.

use crate::spec::cloneset::CloneSet;
use crate::spec::diagnostic::Severity;
use crate::spec::document::Accompanying;
use crate::spec::report::{Flaw, quote};

/// Checks the autoscalers among `companions`. With blue/green (`is_switched`) one of another name is an error: it could not
/// follow. `tell` is given the file of each mistake.
pub fn check<'f>(
    (path, cloneset): (&'f str, &CloneSet),
    companions: &[(&'f str, &Accompanying)],
    is_switched: bool,
    tell: &mut dyn FnMut(&'f str, Flaw),
) {
    let Some(key) = &cloneset.key else { return };
    for (companion_path, companion) in companions {
        let Some(scales) = &companion.scales else { continue };
        if *scales != key.name.as_str() {
            let scales = quote(scales);
            let mut message =
                format!("the HorizontalPodAutoscaler scales `{scales}`, which is not of this release");
            if is_switched {
                message.push_str(": blue/green leads one of its own to the CloneSet that serves");
            }
            let severity = if is_switched { Severity::Error } else { Severity::Warning };
            let cure = format!("write `name: {}`", key.name);
            tell(companion_path, Flaw { severity, at: companion.at, message, cure });
        } else if let Some(at) = cloneset.replicas_at {
            let name = companion.key.as_ref().map_or("", |key| key.name.as_str());
            let message =
                format!("`spec.replicas` and HorizontalPodAutoscaler `{name}` both own the number of pods");
            let cure = format!("delete line {}", at.line);
            tell(path, Flaw { severity: Severity::Error, at, message, cure });
        }
    }
}
