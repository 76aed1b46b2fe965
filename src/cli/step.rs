//! `triton step`: one commit that sets `spec.step`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::cli::clone::PublishArgs;
use crate::cli::locate::Located;
use crate::cli::output::{Exit, Printer, Refusal};
use crate::model::ReleaseId;
use crate::spec::document::Document;
use crate::spec::node::Spot;
use crate::spec::parse_file;

/// Let a release that is led by commits go on: one commit that sets its `spec.step`.
///
/// Git then permits no step beyond K. A higher number lets the rollout go on, a lower one stops it; neither takes a pod
/// back.
#[derive(Args, Debug)]
pub struct StepArgs {
    /// The release
    #[arg(value_name = "NAMESPACE/NAME")]
    pub release: ReleaseId,
    /// The furthest step that Git is to permit
    #[arg(value_name = "K")]
    pub step: u32,
    /// A folder in the clone to commit to
    #[arg(short = 'C', long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Where the commit goes
    #[command(flatten)]
    pub publish: PublishArgs,
}

/// Runs `triton step`.
///
/// # Errors
/// Where the release has no `spec.step`, or Git refuses.
pub fn run(args: &StepArgs, printer: &Printer) -> Result<Exit> {
    let (id, step) = (&args.release, args.step);
    let located = Located::find(&args.dir, Some(id))?;
    let intent = located.intent(located.clone.head()?, id)?;
    let release = &intent.release;
    let path = release.path.clone();
    let last = release.last_step();
    if step > last {
        return Err(Refusal::new(format!("{id} has steps 1 to {last}, no step {step}")).into());
    }
    if located.clone.is_dirty(std::slice::from_ref(&path))? {
        return Err(Refusal::new(format!("{path} has changes that are not committed")).into());
    }
    let file = located.clone.top().join(&path);
    let text = std::fs::read_to_string(&file).with_context(|| path.clone())?;
    let refusal = || {
        Refusal::new(format!("{path} has no `step:` line of its own"))
            .hint(format!("write `step: {step}` below `spec:` of the Release, and commit it"))
    };
    let changed = place(&text, id).and_then(|at| set(&text, at, step)).ok_or_else(refusal)?;
    if changed == text {
        return Err(Refusal::new(format!("spec.step of {id} is {step} already")).into());
    }
    let branch = format!("triton/step-{}-{}-{step}", id.namespace, id.name);
    located.clone.publish(&args.publish, &branch, printer, || {
        std::fs::write(&file, &changed).with_context(|| path.clone())?;
        let message = format!("Let {id} {} go as far as step {step}", release.version);
        located.clone.commit(std::slice::from_ref(&path), &message)
    })?;
    printer.say(format!("  sets     spec.step to {step} in {path}"))?;
    Ok(Exit::Fine)
}

/// Where the key `step` of the release stands.
fn place(text: &str, id: &ReleaseId) -> Option<Spot> {
    let file = parse_file(text.as_bytes());
    file.documents.iter().find_map(|document| match document {
        Document::Head(head) if head.id.as_ref() == Some(id) => head.cap_at,
        Document::Head(_) | Document::CloneSet(_) | Document::Companion(_) | Document::Other(..) => None,
    })
}

/// The text with another number behind the key at `at`; nothing else changes. `None` where no number stands there.
fn set(text: &str, at: Spot, step: u32) -> Option<String> {
    let line_at =
        text.split_inclusive('\n').take(at.line.checked_sub(1)? as usize).map(str::len).sum::<usize>();
    let line = text.get(line_at..)?;
    let key_at = line.char_indices().nth(at.column.checked_sub(1)? as usize)?.0;
    let behind_key = line.get(key_at..)?.strip_prefix("step")?;
    let value = behind_key.trim_start_matches([' ', ':']);
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let value_at = text.len() - value.len();
    (digits > 0).then(|| format!("{}{step}{}", &text[..value_at], &value[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_number_changes() {
        let text = "spec:\n  strategy: careful\n  step: 1 # led by commits\n---\n";
        let changed = set(text, Spot { line: 3, column: 3 }, 12);
        assert_eq!(
            changed.as_deref(),
            Some("spec:\n  strategy: careful\n  step: 12 # led by commits\n---\n")
        );
        assert_eq!(set(text, Spot { line: 2, column: 3 }, 2), None);
        assert_eq!(set(text, Spot { line: 9, column: 3 }, 2), None);
    }
}
