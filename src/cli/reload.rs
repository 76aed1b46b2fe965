//! The daemon's configuration, reread when its file changes.

use std::path::Path;

use file_watch::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::watch;

use crate::cli::output::Refusal;
use crate::controller::Rules;

/// Follows a configuration's file as long as it lives.
pub struct Reload {
    /// What the configuration says now.
    pub rules: watch::Receiver<Rules>,
    /// Kept for as long as the file is watched; without a file nothing ever changes.
    _watcher: (watch::Sender<Rules>, Option<RecommendedWatcher>),
}

impl Reload {
    /// Follows `file`, whose content is `first` now and `read` again after each change. What cannot be used is told
    /// and changes nothing.
    ///
    /// # Errors
    /// Where the system cannot watch the file.
    pub fn follow(
        file: Option<&Path>,
        first: Rules,
        read: impl Fn() -> anyhow::Result<Rules> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (sender, rules) = watch::channel(first);
        let Some(file) = file else { return Ok(Self { rules, _watcher: (sender, None) }) };
        let kept = sender.clone();
        let again = move |event: Result<file_watch::Event, file_watch::Error>| match event {
            // Reading the file is an event, too.
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
            Ok(_) => match read() {
                Ok(rules) => {
                    if sender.send_if_modified(|now| std::mem::replace(now, rules.clone()) != rules) {
                        tracing::info!("the configuration was reread");
                    }
                }
                Err(error) => tracing::error!("the configuration stays as it was: {error:#}"),
            },
            Err(error) => tracing::error!("the configuration's file is not watched: {error}"),
        };
        // A mounted ConfigMap changes by a link in its folder: the folder is what is watched.
        let folder = file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let refusal = |error| Refusal::new(format!("{} cannot be watched: {error}", folder.display()));
        let mut watcher = file_watch::recommended_watcher(again).map_err(refusal)?;
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(refusal)?;
        Ok(Self { rules, _watcher: (kept, Some(watcher)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Policy;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::sync::Arc;

    /// A version of a ConfigMap's content, as the kubelet lays it down: a folder that `..data` is then turned to.
    fn lay(mount: &Path, version: &str, path: &str) {
        let folder = mount.join(version);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("configuration.yaml"), path).unwrap();
        symlink(version, mount.join("..data_tmp")).unwrap();
        std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    }

    fn read(file: PathBuf) -> anyhow::Result<Rules> {
        let path = std::fs::read_to_string(file)?;
        Ok(Rules { policy: Arc::new(Policy { path, ..Policy::default() }), accepted: None })
    }

    #[tokio::test]
    async fn a_mounted_config_map_that_changes_is_reread() {
        let mount = tempfile::tempdir().unwrap();
        lay(mount.path(), "..first", "first");
        let file = mount.path().join("configuration.yaml");
        symlink("..data/configuration.yaml", &file).unwrap();
        let first = read(file.clone()).unwrap();
        let again = file.clone();
        let mut reload = Reload::follow(Some(&file), first, move || read(again.clone())).unwrap();
        assert_eq!(reload.rules.borrow().policy.path, "first");
        lay(mount.path(), "..second", "second");
        reload.rules.wait_for(|rules| rules.policy.path == "second").await.unwrap();
    }
}
