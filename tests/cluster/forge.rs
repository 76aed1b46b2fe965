//! A forge, started by `tests/forge/up`: repositories, people with their clones, pull requests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reqwest::blocking::{Client, RequestBuilder};
use reqwest::{Certificate, Method};
use serde_json::{Value, json};

use crate::cluster::process::{has_ended, says, until};

/// A forge with the users `ann`, who administers it, `bo`, and `triton`, who may only read.
pub struct Forge {
    dir: PathBuf,
    /// Where this one is ours alone: its folder, which goes with it.
    own: Option<tempfile::TempDir>,
    client: Client,
}

impl Forge {
    /// The one that `tests/cluster/test` has started. Tests share it: each has a repository of its own.
    pub fn shared() -> Self {
        let dir = std::env::var_os("TRITON_FORGE").expect("run these with tests/cluster/test");
        Self::at(dir.into(), None)
    }

    /// One for this test alone, to be broken; it answers over HTTPS.
    pub fn own() -> Self {
        let own = tempfile::tempdir().expect("a temporary folder");
        let up = script("up").arg("--tls").arg(own.path()).output().expect("a shell");
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        Self::at(own.path().to_owned(), Some(own))
    }

    fn at(dir: PathBuf, own: Option<tempfile::TempDir>) -> Self {
        // Whoever comes second finds the same provider installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder().no_proxy();
        if let Ok(authority) = std::fs::read(dir.join("ca.crt")) {
            client = client.tls_certs_only([Certificate::from_pem(&authority).expect("a certificate")]);
        }
        Self { dir, own, client: client.build().expect("a client") }
    }

    /// One of its files: `bo.token`, `triton.key`, `known_hosts`, `ca.crt`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn line(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).expect("a file of the forge").trim().to_owned()
    }

    /// What its API answers to somebody.
    pub fn tries(&self, who: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.request(method, format!("{}/api/v1{path}", self.line("url")));
        let token = self.line(&format!("{who}.token"));
        sent(request.header("Authorization", format!("token {token}")), body)
    }

    /// What its API answers to somebody; it must not refuse.
    pub fn ask(&self, who: &str, method: Method, path: &str, body: &Value) -> Value {
        let (status, answer) = self.tries(who, method.clone(), path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Takes somebody's token away.
    pub fn revoke(&self, who: &str) {
        let answer = self.with_password(who, Method::DELETE, "/tests", &Value::Null);
        assert_eq!(answer.0, 204, "{}", answer.1);
    }

    /// A new token of somebody's, who has none.
    pub fn grant(&self, who: &str) -> String {
        let asked = json!({"name": "tests", "scopes": ["read:repository"]});
        let (status, answer) = self.with_password(who, Method::POST, "", &asked);
        assert_eq!(status, 201, "{answer}");
        answer["sha1"].as_str().expect("a token").to_owned()
    }

    fn with_password(&self, who: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let path = format!("{}/api/v1/users/{who}/tokens{path}", self.line("url"));
        let request = self.client.request(method, path).basic_auth(who, Some(self.line("password")));
        sent(request, body)
    }

    /// A new private repository of Ann's, which Bo may push to and the daemon may read.
    pub fn project(&self, name: &str) -> Project<'_> {
        self.ask("ann", Method::POST, "/user/repos", &json!({"name": name, "private": true}));
        for (who, permission) in [("bo", "write"), ("triton", "read")] {
            let path = format!("/repos/ann/{name}/collaborators/{who}");
            self.ask("ann", Method::PUT, &path, &json!({"permission": permission}));
        }
        Project { forge: self, name: name.to_owned() }
    }

    /// Ends its process; what it has stays.
    pub fn stop(&self) {
        let id = self.line("pid");
        says(Command::new("kill").arg(&id));
        until("the forge ends", || has_ended(&id).then_some(()));
    }

    /// Starts it again.
    pub fn start(&self) {
        says(&mut Command::new(self.file("start")));
        let url = format!("{}/api/healthz", self.line("url"));
        let is_up = || self.client.get(&url).send().is_ok_and(|answer| answer.status().is_success());
        until("the forge answers", || is_up().then_some(()));
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        if self.own.is_some() {
            let _ = script("down").arg(&self.dir).status();
        }
    }
}

/// What is answered to a request with this body.
fn sent(mut request: RequestBuilder, body: &Value) -> (u16, Value) {
    if !body.is_null() {
        request = request.header("Content-Type", "application/json").body(body.to_string());
    }
    let answer = request.send().expect("the forge answers");
    let status = answer.status().as_u16();
    let text = answer.text().expect("the forge answers");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forge").join(name))
}

/// A repository on the forge.
pub struct Project<'f> {
    forge: &'f Forge,
    name: String,
}

impl Project<'_> {
    /// Its address over HTTP(S).
    pub fn url(&self) -> String {
        format!("{}/ann/{}.git", self.forge.line("url"), self.name)
    }

    /// Its address over SSH.
    pub fn ssh_url(&self) -> String {
        format!("{}/ann/{}.git", self.forge.line("ssh-url"), self.name)
    }

    /// The path of something of it, to ask the forge for.
    pub fn path(&self, rest: &str) -> String {
        format!("/repos/ann/{}{rest}", self.name)
    }

    /// Guards `main`: nobody pushes to it, and a pull request needs a review. What `files` match takes an administrator,
    /// too.
    pub fn guard(&self, files: &str) {
        let rule = json!({
            "rule_name": "main", "enable_push": false, "required_approvals": 1, "protected_file_patterns": files,
        });
        self.forge.ask("ann", Method::POST, &self.path("/branch_protections"), &rule);
    }

    /// A clone of somebody's.
    pub fn clone(&self, who: &str) -> Clone {
        let clone = Clone { who: who.to_owned(), dir: tempfile::tempdir().expect("a temporary folder") };
        let (name, mail) = (who[..1].to_uppercase() + &who[1..], format!("{who}@example.com"));
        let token =
            format!("http.extraHeader=Authorization: token {}", self.forge.line(&format!("{who}.token")));
        let authority = format!("http.sslCAInfo={}", self.forge.file("ca.crt").display());
        let (name, mail) = (format!("user.name={name}"), format!("user.email={mail}"));
        let mut settings = vec![name, mail, token, "commit.gpgsign=false".to_owned()];
        settings.extend(self.forge.file("ca.crt").exists().then_some(authority));
        let mut args = vec!["clone", "--quiet"];
        settings.iter().for_each(|setting| args.extend(["--config", setting]));
        let url = self.url();
        args.extend([&*url, "."]);
        clone.git(&args);
        clone.git(&["symbolic-ref", "HEAD", "refs/heads/main"]);
        clone
    }

    /// Opens a pull request for a branch of somebody's.
    pub fn open(&self, who: &str, branch: &str) -> Pull<'_> {
        let body = json!({"head": branch, "base": "main", "title": branch});
        let pull = self.forge.ask(who, Method::POST, &self.path("/pulls"), &body);
        Pull { project: self, number: pull["number"].as_u64().expect("a number") }
    }

    /// A pull request with what `edit` does in a clone; the clone is on `main` again after it.
    pub fn propose(&self, clone: &Clone, branch: &str, edit: impl FnOnce(&Clone)) -> Pull<'_> {
        clone.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
        clone.git(&["switch", "--quiet", "--create", branch]);
        edit(clone);
        clone.git(&["push", "--quiet", "origin", branch]);
        clone.git(&["switch", "--quiet", "main"]);
        self.open(&clone.who, branch)
    }
}

/// A pull request.
#[derive(Clone, Copy)]
pub struct Pull<'p> {
    project: &'p Project<'p>,
    number: u64,
}

impl Pull<'_> {
    fn path(&self, rest: &str) -> String {
        self.project.path(&format!("/pulls/{}{rest}", self.number))
    }

    /// Somebody approves of it.
    pub fn review(self, who: &str) -> Self {
        let review = json!({"event": "APPROVED"});
        self.project.forge.ask(who, Method::POST, &self.path("/reviews"), &review);
        self
    }

    /// Somebody merges it: by `merge`, `squash`, `rebase`, `rebase-merge` or `fast-forward-only`.
    pub fn merge(self, who: &str, how: &str) {
        let answer = until("the pull request can be merged or not", || self.tries(who, how).transpose());
        assert_eq!(answer, Ok(()), "{how}");
    }

    /// Why somebody cannot merge it.
    pub fn refusal(self, who: &str) -> String {
        until("the pull request can be merged or not", || self.tries(who, "merge").transpose())
            .expect_err("it is merged")
    }

    /// Merges it as an administrator may, whatever guards the branch.
    pub fn merge_anyway(self, who: &str) {
        let body = json!({"Do": "merge", "force_merge": true});
        self.project.forge.ask(who, Method::POST, &self.path("/merge"), &body);
    }

    /// How many files it changes.
    pub fn files(self) -> usize {
        let files = self.project.forge.ask("ann", Method::GET, &self.path("/files"), &Value::Null);
        files.as_array().map_or(0, Vec::len)
    }

    /// Whether it was merged; nothing while the forge still thinks about it.
    fn tries(self, who: &str, how: &str) -> Result<Option<()>, String> {
        let (status, answer) =
            self.project.forge.tries(who, Method::POST, &self.path("/merge"), &json!({"Do": how}));
        let message = answer["message"].as_str().unwrap_or_default();
        match status {
            200 => Ok(Some(())),
            405 if message.contains("try again") => Ok(None),
            _ => Err(format!("{status} {message}")),
        }
    }
}

/// A clone of somebody's, with the `git` program.
pub struct Clone {
    who: String,
    dir: tempfile::TempDir,
}

impl Clone {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut git = Command::new("git");
        git.args(args).current_dir(self.path()).stdin(Stdio::null()).env("GIT_CONFIG_NOSYSTEM", "1");
        git.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_EDITOR", "true"), ("GIT_TERMINAL_PROMPT", "0")]);
        // A machine that names its authorities so would overrule what the clone is told.
        git.env_remove("GIT_SSL_CAINFO");
        git
    }

    /// What `git` says; it must succeed.
    pub fn git(&self, args: &[&str]) -> String {
        says(&mut self.command(args)).trim().to_owned()
    }

    /// What `git` says against it.
    pub fn refused(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("git runs");
        assert!(!output.status.success(), "git {args:?} succeeds");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Writes a file and commits it.
    pub fn put(&self, path: &str, content: &str, message: &str) {
        let file = self.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("a folder");
        std::fs::write(file, content).expect("a file");
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", message]);
    }
}
