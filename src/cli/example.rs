//! `examples/repo`, inside the program: the demo works wherever the binary is.

use std::path::Path;

use anyhow::{Context, Result};

/// Every file of `examples/repo`, by its path there.
pub const FILES: [(&str, &str); 13] = [
    ("README.md", include_str!("../../examples/repo/README.md")),
    ("triton.yaml", include_str!("../../examples/repo/triton.yaml")),
    ("releases/shop/checkout.yaml", include_str!("../../examples/repo/releases/shop/checkout.yaml")),
    ("releases/shop/account.yaml", include_str!("../../examples/repo/releases/shop/account.yaml")),
    ("releases/shop/search.yaml", include_str!("../../examples/repo/releases/shop/search.yaml")),
    ("releases/shop/frontend.yaml", include_str!("../../examples/repo/releases/shop/frontend.yaml")),
    ("releases/shop/mailer.yaml", include_str!("../../examples/repo/releases/shop/mailer.yaml")),
    ("releases/shop/cart/release.yaml", include_str!("../../examples/repo/releases/shop/cart/release.yaml")),
    (
        "releases/shop/cart/cloneset.yaml",
        include_str!("../../examples/repo/releases/shop/cart/cloneset.yaml"),
    ),
    ("releases/shop/cart/route.yaml", include_str!("../../examples/repo/releases/shop/cart/route.yaml")),
    ("releases/shop/cart/service.yaml", include_str!("../../examples/repo/releases/shop/cart/service.yaml")),
    ("releases/shop/cart/config.yaml", include_str!("../../examples/repo/releases/shop/cart/config.yaml")),
    ("releases/shop/cart/pdb.yaml", include_str!("../../examples/repo/releases/shop/cart/pdb.yaml")),
];

/// Writes the files below `folder`.
///
/// # Errors
/// Where the disk refuses.
pub fn write(folder: &Path) -> Result<()> {
    for (path, text) in FILES {
        let target = folder.join(path);
        let parent = target.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&target, text))
            .with_context(|| format!("{} cannot be written", target.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    fn below(folder: PathBuf, found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { below(path, found) } else { assert!(found.insert(path)) }
        }
    }

    #[test]
    fn the_program_has_every_file_of_the_example() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/repo");
        let mut found = BTreeSet::new();
        below(folder.clone(), &mut found);
        assert_eq!(found, FILES.iter().map(|(path, _)| folder.join(path)).collect());
    }
}
