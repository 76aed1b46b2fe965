//! Images of containers: versions for people, and tags that prove nothing.

use serde_json::Value;

use crate::spec::node::Node;
use crate::spec::report::{Report, quote};

/// Digits of an image's digest that people see.
const SHORT: usize = 12;

/// The version that people think of: tag of the first container's image, the first digits of its digest where it has
/// only that, the whole image where it has neither.
#[must_use]
pub fn version(cloneset: &Value) -> String {
    let image = cloneset["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    match parts(image) {
        (_, Some(tag), _) => quote(tag),
        (_, None, Some(digest)) => digest.chars().take(SHORT).collect(),
        (_, None, None) => quote(image),
    }
}

/// Repository, tag and digest of an image, the digest without its algorithm.
fn parts(image: &str) -> (&str, Option<&str>, Option<&str>) {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let digest = digest.map(|digest| digest.split_once(':').map_or(digest, |(_, hex)| hex));
    match name.rsplit_once(':') {
        // The colon before a slash is that of a port.
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag), digest),
        Some(_) | None => (name, None, digest),
    }
}

/// Checks the image of a container that stands at `path`.
pub fn check(container: &Node, path: &str, report: &mut Report) {
    let Some(image) = container.get("image") else {
        report.error(container.at, format!("`{path}.image` is missing"), "add `image:`");
        return;
    };
    let Some(text) = image.text() else { return };
    if text.is_empty() {
        report.error(image.at, format!("`{path}.image` is empty"), "name an image");
        return;
    }
    let (_, tag, digest) = parts(text);
    if digest.is_none() && tag.is_none_or(|tag| tag == "latest") {
        let message = format!(
            "the image `{}` may change without Git: what is proven is its name, not its bits",
            quote(text)
        );
        report.warn(image.at, message, "give it a tag that is never moved, or a digest");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_version_is_the_tag_of_the_first_image() {
        let digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        for (image, expected) in [
            ("shop/checkout:2.4.1".to_owned(), "2.4.1"),
            ("registry:5000/checkout".to_owned(), "registry:5000/checkout"),
            ("registry:5000/checkout:v1".to_owned(), "v1"),
            (format!("checkout@sha256:{digest}"), "0123456789ab"),
            (format!("checkout:2@sha256:{digest}"), "2"),
            ("checkout".to_owned(), "checkout"),
            (String::new(), ""),
        ] {
            let cloneset =
                json!({"spec": {"template": {"spec": {"containers": [{"image": image}, {"image": "x:9"}]}}}});
            assert_eq!(version(&cloneset), expected, "{image}");
        }
    }
}
