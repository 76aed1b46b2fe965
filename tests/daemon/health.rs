//! Whether the daemon is alive and ready, asked as a kubelet asks it.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt as _;
use triton::server;

use crate::daemon::stage::Stage;
use crate::daemon::{STEPS, proven};

/// How often it is looked whether the program says that it hangs: a busy machine may answer earlier questions late.
const LOOKS: usize = 1_000;
/// What it says then.
const SILENT: &str = "503 Git has not answered one question for ";

/// The status and the text of one page of the last daemon.
pub async fn page(stage: &Stage, path: &str) -> (u16, String) {
    let router = server::router(stage.pulse.clone().expect("a daemon was started"));
    let answer = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn says(stage: &Stage, path: &str) -> String {
    let (status, text) = page(stage, path).await;
    format!("{status} {}", text.trim_end())
}

#[tokio::test(start_paused = true)]
async fn a_daemon_is_ready_once_git_and_the_cluster_were_read() {
    let mut stage = Stage::set();
    stage.release("1.0.0", STEPS);
    stage.start();
    assert_eq!(says(&stage, "/readyz").await, "503 the lease was not asked for yet");
    assert_eq!(says(&stage, "/healthz").await, "200 the loop turned 0 s ago");
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage.wait(3_600).await;
    assert_eq!(says(&stage, "/readyz").await, "200 Git and the cluster were read, and the loop turns");
    assert!(says(&stage, "/healthz").await.starts_with("200 "));
    assert_eq!(says(&stage, "/").await, "404 /healthz, /readyz or /metrics");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stands_by_is_ready_and_says_who_acts() {
    let stage = proven(STEPS).await;
    let mut second = stage.beside();
    second.start();
    stage.wait(120).await;
    assert_eq!(says(&second, "/readyz").await, "200 it stands by for the lease: daemon-1 holds it");
    assert!(says(&second, "/healthz").await.starts_with("200 "));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_could_never_read_git_is_alive_and_not_ready() {
    let mut stage = proven(STEPS).await;
    stage.stop().await;
    stage.start_without_git();
    stage.wait(60).await;
    let said = says(&stage, "/readyz").await;
    assert!(said.starts_with("503 Git was not read yet: "), "{said}");
    assert!(says(&stage, "/healthz").await.starts_with("200 "));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_never_answers_leaves_the_loop_alive_and_not_ready() {
    let mut stage = Stage::set();
    stage.release("1.0.0", STEPS);
    stage.cluster.knobs().set(|faults| faults.delay = Duration::from_secs(1_000_000));
    stage.start();
    for _ in 0..20 {
        stage.wait(61).await;
        assert!(says(&stage, "/healthz").await.starts_with("200 "));
    }
    let waits = "503 the lease cannot be asked for: the API server did not answer within 5 s";
    assert_eq!(says(&stage, "/readyz").await, waits);
    stage.cluster.knobs().set(|faults| faults.delay = Duration::ZERO);
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    assert!(says(&stage, "/readyz").await.starts_with("200 "));
}

#[tokio::test(start_paused = true)]
async fn a_first_list_that_is_refused_is_said() {
    let mut stage = Stage::set();
    let denial = triton::devcluster::Denial { verb: "list", plural: "clonesets".into(), namespace: None };
    stage.cluster.knobs().set(|faults| faults.denials.push(denial));
    stage.start();
    stage.wait(120).await;
    let said = says(&stage, "/readyz").await;
    assert!(said.starts_with("503 the first lists of the cluster are not in: "), "{said}");
    assert!(said.contains("clonesets") && said.contains("list"), "{said}");
    assert!(says(&stage, "/healthz").await.starts_with("200 "));
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_stands_still_is_seen_though_its_port_is_open() {
    let mut stage = proven(STEPS).await;
    stage.kill().await;
    stage.wait(71).await;
    let (status, said) = page(&stage, "/healthz").await;
    assert!(status == 503 && said.starts_with("the loop has not turned for "), "{status} {said}");
    assert_eq!(page(&stage, "/readyz").await, (status, said));
}

/// The repository lies on a disk that does not answer: no deadline of ours ends such a read.
#[tokio::test(start_paused = true)]
async fn a_git_that_never_answers_is_seen_though_the_loop_turns() {
    let mut stage = Stage::set();
    stage.inline = false;
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    let head = stage.repo.file(".git/refs/heads/main");
    let aside = stage.repo.file(".git/aside");
    std::fs::rename(&head, &aside).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&head).status().unwrap();
    assert!(made.success());
    // Time stands still while a thread waits for the disk: it is moved by hand, until the question that is never answered
    // was asked and has waited for too long.
    let mut said = String::new();
    for _ in 0..LOOKS {
        tokio::time::advance(Duration::from_secs(10)).await;
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        said = says(&stage, "/healthz").await;
        if said.starts_with(SILENT) {
            break;
        }
    }
    // The disk is back: the read that waits ends, and the next one finds the branch.
    let waiting = stage.repo.file(".git/waiting");
    std::fs::rename(&head, &waiting).unwrap();
    std::fs::rename(&aside, &head).unwrap();
    drop(std::fs::OpenOptions::new().write(true).open(&waiting).unwrap());
    assert!(said.starts_with(SILENT), "{said}");
    stage.wait(30).await;
    assert!(says(&stage, "/healthz").await.starts_with("200 "));
}

#[tokio::test(start_paused = true)]
async fn a_move_that_takes_minutes_because_the_api_server_is_slow_is_no_hang() {
    let mut stage = Stage::set();
    let map = |number| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{namespace: shop, name: map-{number}}}\ndata: {{a: b}}\n"
        )
    };
    let maps: Vec<String> = (0..30).map(map).collect();
    stage.repo.write("releases/shop/companions.yaml", &maps.join("---\n"));
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage.cluster.knobs().set(|faults| faults.delay = Duration::from_secs(4));
    for path in ["releases/shop/checkout.yaml", "releases/shop/companions.yaml"] {
        stage.repo.remove(path);
    }
    stage.repo.commit("Remove checkout");
    for _ in 0..60 {
        stage.wait(5).await;
        assert!(says(&stage, "/healthz").await.starts_with("200 "));
    }
    assert!(stage.record("checkout").is_null(), "it is gone");
    let laps = stage.pulse.as_ref().unwrap().vitals().tally.laps;
    assert_eq!(
        laps.counts[1..],
        [0; triton::controller::pulse::BOUNDS.len()],
        "laps wait for nobody: {laps:?}"
    );
}

/// A door of the last daemon on a socket, and a way to it.
async fn door(stage: &Stage) -> std::net::SocketAddr {
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server::serve(listener, stage.pulse.clone().unwrap()));
    address
}

/// What comes back on a new connection on which `text` is sent.
async fn ask(address: std::net::SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is cut is an answer, too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(start_paused = true)]
async fn who_sends_slowly_or_too_much_is_sent_away_and_others_are_answered() {
    let mut stage = Stage::set();
    stage.start();
    let address = door(&stage).await;
    let began = tokio::time::Instant::now();
    let mut idle = Vec::new();
    for _ in 0..server::door::CONNECTIONS_MAX - 1 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HT").await.unwrap();
        idle.push(stream);
    }
    let said = ask(address, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 200 OK") && said.contains("connection: close"), "{said}");
    for mut stream in idle {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
    let waited = began.elapsed();
    assert!(waited >= server::door::VISIT_MAX && waited < 2 * server::door::VISIT_MAX, "{waited:?}");
    let long = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", "x".repeat(server::door::BYTES_MAX));
    assert_eq!(ask(address, &long).await, "");
    assert!(ask(address, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.contains("# EOF"));
}
