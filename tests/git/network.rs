//! Fetching over HTTP from `git http-backend`, and over SSH through a program in the place of `ssh`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use triton::git::{Credentials, Error, Limits, Mirror, Poll, Remote};

use crate::repo::Repo;

/// One HTTP request, as far as the tests look at it.
pub struct Request {
    /// `GET` or `POST`.
    pub method: String,
    /// Without its query.
    pub path: String,
    query: String,
    authorization: String,
    content_type: String,
    body: Vec<u8>,
}

/// A server on this machine that answers every request with what `answer` makes of it. It ends with the tests.
pub fn serve(answer: impl Fn(&Request) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let Some(request) = read(&connection) else { continue };
            // The client may have hung up by design.
            let _ = (&connection).write_all(&answer(&request));
        }
    });
    address
}

fn read(connection: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let found = lines.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        });
        found.unwrap_or_default()
    };
    let mut first = lines.first()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        authorization: header("authorization"),
        content_type: header("content-type"),
        body,
    })
}

/// An HTTP answer.
pub fn reply(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut out =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    out.retain(|c| c != '\0');
    [out.into_bytes(), body.to_vec()].concat()
}

/// What `git http-backend` answers for the repositories below `root`.
pub fn backend(root: &Path, request: &Request) -> Vec<u8> {
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_HTTP_EXPORT_ALL", "1"), ("REMOTE_ADDR", "127.0.0.1")])
        .env("GIT_PROJECT_ROOT", root)
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_TYPE", &request.content_type)
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&request.body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let headers = String::from_utf8_lossy(&output[..end + 2]).into_owned();
    reply("200 OK", &headers, &output[end + 4..])
}

fn state() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn mirror(state: &TempDir, address: &str) -> Mirror {
    Mirror::open(state.path(), Remote::new(address, "main").unwrap(), Limits::default()).unwrap()
}

fn failure(address: &str) -> Error {
    mirror(&state(), address).poll().expect_err("the poll fails")
}

/// A repository, served over HTTP.
fn served() -> (Repo, String) {
    let repo = Repo::new();
    let root = repo.path().to_owned();
    let address = serve(move |request| backend(&root, request));
    (repo, format!("{address}/.git"))
}

#[test]
fn a_branch_is_fetched_over_http_and_followed() {
    let (repo, address) = served();
    let first = repo.put("a", "1");
    let state = state();
    let mut mirror = mirror(&state, &address);
    assert_eq!(mirror.poll().unwrap(), Poll::Changed(first));
    assert_eq!(mirror.poll().unwrap(), Poll::Unchanged(first));
    for number in 0..20 {
        repo.put("b", &number.to_string());
    }
    let second = repo.id("HEAD");
    assert_eq!(mirror.poll().unwrap(), Poll::Changed(second));
    assert!(mirror.repository().descends(second, first).unwrap());

    repo.git(&["reset", "--quiet", "--hard", "HEAD~3"]);
    let rewritten = repo.put("c", "rewritten");
    assert_eq!(mirror.poll().unwrap(), Poll::Changed(rewritten));
    assert!(!mirror.repository().descends(rewritten, second).unwrap());
}

#[test]
fn an_empty_repository_and_a_missing_branch_are_told_apart_over_http() {
    let (repo, address) = served();
    assert_eq!(failure(&address).category(), "empty");
    repo.put("a", "1");
    repo.git(&["branch", "-m", "trunk"]);
    let error = failure(&address);
    assert!(error.to_string().ends_with("has no branch `main`; it has `trunk`"), "{error}");
}

#[test]
fn a_token_is_read_anew_for_each_poll_and_never_shown() {
    let repo = Repo::new();
    let head = repo.put("a", "1");
    let root = repo.path().to_owned();
    let address = serve(move |request| match request.authorization.as_str() {
        // "ann:secret-2"
        "Basic YW5uOnNlY3JldC0y" => backend(&root, request),
        _ => reply("401 Unauthorized", "WWW-Authenticate: Basic\r\n", b"no"),
    });
    let state = state();
    let file = |name: &str, text: &str| -> PathBuf {
        fs::write(state.path().join(name), text).unwrap();
        state.path().join(name)
    };
    let credentials = Credentials {
        token_file: Some(file("token", "secret-1\n")),
        username_file: Some(file("user", "ann\n")),
        ..Credentials::default()
    };
    let remote = Remote::new(&format!("{address}/.git"), "main").unwrap().with_credentials(credentials);
    let mut mirror = Mirror::open(state.path(), remote, Limits::default()).unwrap();
    let error = mirror.poll().unwrap_err();
    assert_eq!(error.category(), "denied");
    assert!(error.to_string().contains("401") && !format!("{error:?}").contains("secret"), "{error:?}");
    file("token", "secret-2\n");
    assert_eq!(mirror.poll().unwrap().head(), head);
    fs::remove_file(state.path().join("token")).unwrap();
    assert!(matches!(mirror.poll(), Err(Error::Credential { .. })));
}

#[test]
fn a_redirect_is_followed_on_the_same_host_only() {
    let repo = Repo::new();
    let head = repo.put("a", "1");
    let root = repo.path().to_owned();
    let address = serve(move |request| match request.path.strip_prefix("/old") {
        Some(rest) => {
            let place = format!("Location: /.git{rest}?{}\r\n", request.query);
            reply("301 Moved Permanently", &place, b"")
        }
        None => backend(&root, request),
    });
    assert_eq!(mirror(&state(), &format!("{address}/old")).poll().unwrap().head(), head);
    let away = serve(move |request| {
        let place = format!("Location: {address}/.git{}?{}\r\n", request.path, request.query);
        reply("302 Found", &place, b"")
    });
    assert!(matches!(failure(&away), Error::Redirected { .. }));
    let other_scheme = serve(|_| reply("302 Found", "Location: https://127.0.0.1/x/info/refs\r\n", b""));
    assert!(matches!(failure(&other_scheme), Error::Redirected { .. }));
    let forever = serve(|request| {
        reply("302 Found", &format!("Location: {}?service=git-upload-pack\r\n", request.path), b"")
    });
    assert!(failure(&forever).to_string().contains("redirects"));
}

#[test]
fn a_login_page_is_not_taken_for_a_repository() {
    let page = serve(|_| reply("200 OK", "Content-Type: text/html; charset=utf-8\r\n", b"<html>Log in"));
    let error = failure(&page);
    assert!(error.to_string().contains("a login page"), "{error}");
}

#[test]
fn every_answer_that_is_no_pack_has_its_own_sentence() {
    let git = "Content-Type: application/x-git-upload-pack-advertisement\r\n";
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("404", reply("404 Not Found", "", b""), "denied"),
        ("503", reply("503 Service Unavailable", "Retry-After: 30\r\n", b""), "unreachable"),
        ("429", reply("429 Too Many Requests", "", b""), "unreachable"),
        ("nonsense", reply("200 OK", git, b"this is not Git"), "protocol"),
        ("cut off", reply("200 OK", git, b"001e# service=git-upload-pack\n0000"), "unreachable"),
        ("ERR", reply("200 OK", git, b"0010ERR go away\n"), "denied"),
    ];
    for (name, answer, category) in cases {
        let error = failure(&serve(move |_| answer.clone()));
        assert_eq!(error.category(), category, "{name}: {error}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(failure(&format!("http://{closed}/x")).category(), "unreachable");
}

#[test]
fn a_pack_that_is_cut_off_or_damaged_leaves_the_mirror_as_it_was() {
    for damage in [usize::MAX, 0] {
        let repo = Repo::new();
        let before = repo.put("a", "1");
        let root = repo.path().to_owned();
        let broken = repo.path().join("broken");
        let flag = broken.clone();
        let address = serve(move |request| {
            let mut answer = backend(&root, request);
            if request.method == "POST" && flag.exists() {
                let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
                let last = answer.len() - 30;
                match damage {
                    0 => answer[last] ^= 0xff,
                    _ => {
                        answer = reply(
                            "200 OK",
                            &String::from_utf8_lossy(&answer[17..end + 2]),
                            b"0008NAK\n0100\x01PACK",
                        )
                    }
                }
            }
            answer
        });
        let state = state();
        let mut mirror = mirror(&state, &format!("{address}/.git"));
        mirror.poll().unwrap();
        let after = repo.put("a", "2");
        fs::write(&broken, "").unwrap();
        let error = mirror.poll().unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(mirror.head().unwrap(), Some(before));
        fs::remove_file(&broken).unwrap();
        assert_eq!(mirror.poll().unwrap(), Poll::Changed(after));
    }
}

#[test]
fn a_server_that_never_answers_or_only_drips_does_not_hold_the_daemon() {
    let silent = serve(|_| {
        thread::park();
        Vec::new()
    });
    let drip = TcpListener::bind("127.0.0.1:0").unwrap();
    let dripping = format!("http://{}/x", drip.local_addr().unwrap());
    thread::spawn(move || {
        let (mut connection, _) = drip.accept().unwrap();
        read(&connection);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\nfff0";
        let _ = connection.write_all(head.as_bytes());
        while connection.write_all(b"0").is_ok() {
            thread::park_timeout(Duration::from_millis(5));
        }
    });
    let limits = Limits { deadline: Duration::from_millis(300), ..Limits::default() };
    for address in [silent, dripping] {
        let state = state();
        let mut mirror = Mirror::open(state.path(), Remote::new(&address, "main").unwrap(), limits).unwrap();
        let error = mirror.poll().unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    }
}

/// A program that takes the arguments of `ssh`. A process of its own writes it: while one of ours had it open, a child
/// of another test could keep it busy.
fn fake_ssh(folder: &Path, script: &str) -> PathBuf {
    let program = folder.join("ssh");
    let mut shell = Command::new("sh");
    shell.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(&program).stdin(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    program
}

fn over_ssh(state: &TempDir, path: &Path, script: &str) -> Mirror {
    let address = format!("ssh://git@forge.example{}", path.display());
    let remote = Remote::new(&address, "main").unwrap().with_ssh_program(fake_ssh(state.path(), script));
    Mirror::open(state.path(), remote, Limits::default()).unwrap()
}

#[test]
fn a_branch_is_fetched_over_ssh_and_followed() {
    let (repo, state) = (Repo::new(), state());
    let first = repo.put("a", "1");
    let run = "for last; do :; done; eval \"exec $last\"";
    let mut mirror = over_ssh(&state, repo.path(), run);
    assert_eq!(mirror.poll().unwrap(), Poll::Changed(first));
    assert_eq!(mirror.poll().unwrap(), Poll::Unchanged(first));
    let second = repo.put("a", "2");
    assert_eq!(mirror.poll().unwrap(), Poll::Changed(second));
}

#[test]
fn what_ssh_says_at_its_end_is_told_with_the_cure() {
    let (repo, state) = (Repo::new(), state());
    repo.put("a", "1");
    let cases = [
        ("echo 'git@forge: Permission denied (publickey).' >&2; exit 255", "denied", "sshKeyFile"),
        ("echo 'Host key verification failed.' >&2; exit 255", "denied", "knownHostsFile"),
        ("echo 'ssh: Could not resolve hostname forge' >&2; exit 255", "unreachable", "resolve"),
        ("exit 1", "unreachable", "closed"),
        ("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 255", "unreachable", "xxx"),
    ];
    for (script, category, words) in cases {
        let error = over_ssh(&state, repo.path(), script).poll().unwrap_err();
        assert_eq!(error.category(), category, "{error}");
        assert!(error.to_string().contains(words) && error.to_string().len() < 500, "{error}");
    }
    let remote = Remote::new("git@forge.example:x", "main").unwrap();
    let remote = remote.with_ssh_program(state.path().join("absent"));
    let error = Mirror::open(state.path(), remote, Limits::default()).unwrap().poll().unwrap_err();
    assert!(error.to_string().contains("cannot be started"), "{error}");
}

#[test]
fn an_ssh_that_hangs_is_ended_at_the_deadline() {
    let (repo, state) = (Repo::new(), state());
    let address = format!("ssh://git@forge.example{}", repo.path().display());
    let program = fake_ssh(state.path(), "exec sleep 600");
    let remote = Remote::new(&address, "main").unwrap().with_ssh_program(program);
    let limits = Limits { deadline: Duration::from_millis(300), ..Limits::default() };
    let mut mirror = Mirror::open(state.path(), remote, limits).unwrap();
    assert!(matches!(mirror.poll(), Err(Error::TimedOut { .. })));
}
