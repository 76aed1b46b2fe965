//! The daemon as a process of its own.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{ChildStdout, Command};
use triton::cli::embedded::Embedded;

use crate::repo::Repo;

/// The next line of the log that `find` finds something in.
async fn next<T>(log: &mut Lines<BufReader<ChildStdout>>, find: impl Fn(&Value) -> Option<T>) -> T {
    loop {
        let text = log.next_line().await.unwrap().expect("the daemon goes on");
        let line: Value = serde_json::from_str(&text).unwrap();
        if let Some(found) = find(&line) {
            return found;
        }
    }
}

async fn ask(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_daemon_logs_json_where_nobody_watches_and_answers_at_the_address_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let cluster = Embedded::start("127.0.0.1:0".parse().unwrap(), &["shop".into()]).await.unwrap();
    cluster.write_kubeconfig(&kubeconfig).unwrap();
    let repo = Repo::new();
    triton::cli::example::write(repo.path()).unwrap();
    repo.commit("Five releases of one shop");
    let daemon = |listen: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_triton"));
        command.args(["run", "--listen", listen, "--interval", "1s", "--repo"]).arg(repo.path());
        command.arg("--state").arg(folder.path().join("state")).arg("--kubeconfig").arg(&kubeconfig);
        command.env_remove("TRITON_LOG").stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    };
    let mut first = daemon("127.0.0.1:0").spawn().unwrap();
    let mut log = BufReader::new(first.stdout.take().unwrap()).lines();
    let named = |line: &Value| Some(line["message"].as_str()?.split_once("http://")?.1.to_owned());
    let address = next(&mut log, named).await;
    next(&mut log, |line| (line["audit"]["decision"] == "Create").then_some(())).await;
    for path in ["/healthz", "/readyz"] {
        let answer = ask(&address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{path}: {answer}");
    }
    let metrics = ask(&address, "/metrics").await;
    let created =
        metrics.lines().find(|line| line.starts_with("triton_decisions_total{decision=\"Create\"}"));
    assert!(created.is_some_and(|line| !line.ends_with(" 0")), "{created:?}");
    let second = daemon(&address).output().await.unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    first.kill().await.unwrap();
}
