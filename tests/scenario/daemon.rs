//! The daemon as a process: it runs, stands still, goes on, ends.

use std::pin::pin;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use triton::cluster::Error;
use triton::controller::Controller;

/// A daemon.
pub struct Daemon {
    task: JoinHandle<Result<(), Error>>,
    runs: watch::Sender<bool>,
}

impl Daemon {
    /// Starts it. It stays on this thread: it owns the repository, which is not shared.
    pub fn start(controller: Controller) -> Self {
        let (runs, mut gate) = watch::channel(true);
        let task = tokio::task::spawn_local(async move {
            let mut life = pin!(controller.run(std::future::pending()));
            loop {
                gate.wait_for(|runs| *runs).await.expect("whoever started it is there");
                tokio::select! {
                    biased;
                    changed = gate.changed() => changed.expect("whoever started it is there"),
                    ended = &mut life => break ended,
                }
            }
        });
        Self { task, runs }
    }

    /// Lets it go on, or stand still in the middle of whatever it does. What it has sent is on its way.
    pub fn run(&self, runs: bool) {
        self.runs.send_replace(runs);
    }

    /// Why it has ended, where it has.
    pub fn end(&mut self) -> Option<String> {
        use futures::FutureExt as _;
        self.task.is_finished().then(|| format!("{:?}", (&mut self.task).now_or_never()))
    }

    /// Ends it, wherever it is.
    ///
    /// # Panics
    ///
    /// Where it has panicked, or ended by itself.
    pub async fn kill(self) {
        self.task.abort();
        let ended = self.task.await;
        assert!(
            ended.as_ref().is_err_and(tokio::task::JoinError::is_cancelled),
            "the daemon has ended: {ended:?}"
        );
    }
}
