//! Repositories over HTTP(S): Git's smart protocol, one request per poll.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use reqwest::{Certificate, StatusCode, Url, redirect};
use rustls::CertificateError;

use crate::git::budget::Budget;
use crate::git::error::{Error, Result};
use crate::git::pack::Receiver;
use crate::git::remote::{Address, Credentials, Remote};
use crate::git::stream::{Event, Stream};
use crate::git::wire::{self, Advertisement};
use crate::model::CommitId;

/// Redirects that are followed within one host: a renamed repository, a slash.
const REDIRECTS_MAX: usize = 3;
/// Time for one connection to be made: less than a poll's, so that a host that is away is told as such.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// Longest secret. GitHub's longest tokens have 255 characters, signed ones (JWT) a few thousand.
const SECRET_MAX: u64 = 16 << 10;
/// Longest file of authorities. All that a Linux distribution trusts have 220 KiB.
const AUTHORITIES_MAX: u64 = 1 << 20;
/// The user where none is given: GitHub's for installation tokens; GitLab, Gitea and Azure DevOps take any.
const USER: &str = "x-access-token";

/// One server, with its connections kept open between polls.
pub(crate) struct Server {
    client: Client,
    /// The file of authorities as it stood when the client was made; none for the system's.
    authorities: Option<String>,
}

/// What a server answered, before the body.
struct Answer {
    status: StatusCode,
    content_type: String,
    location: String,
    retry_after: String,
}

/// A repository on a server whose branches were read.
pub(crate) struct Session {
    client: Client,
    /// Address of the repository, after redirects.
    base: Url,
    login: Option<Login>,
}

/// Name and password. Without `Debug`: neither is ever printed.
#[derive(Clone)]
struct Login {
    user: String,
    password: String,
}

impl Server {
    /// `known`, as long as the authorities are what they were, or another one.
    pub(crate) fn of(remote: &Remote, known: Option<Self>) -> Result<Self> {
        let file = remote.credentials.ca_file.as_ref();
        let authorities = file.map(|file| text(file, AUTHORITIES_MAX)).transpose()?;
        match known.filter(|known| known.authorities == authorities) {
            Some(known) => Ok(known),
            None => Self::new(remote, authorities),
        }
    }

    /// A client that follows no redirects by itself.
    fn new(remote: &Remote, authorities: Option<String>) -> Result<Self> {
        // Whoever comes second finds the same provider installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .timeout(None)
            .user_agent(concat!("git/2.0 triton/", env!("CARGO_PKG_VERSION")));
        if let (Some(text), Some(file)) = (&authorities, &remote.credentials.ca_file) {
            client = client.tls_certs_only(certificates(file, text)?);
        }
        let client = client.build();
        client
            .map(|client| Self { client, authorities })
            .map_err(|error| Error::Unreachable { url: remote.to_string(), why: plain(&error) })
    }

    /// Reads which branches there are.
    pub(crate) fn open(&self, remote: &Remote, budget: &mut Budget) -> Result<(Session, Advertisement)> {
        let Address::Http { url, user } = &remote.address else {
            unreachable!("only HTTP addresses are opened over HTTP")
        };
        let login = login(&remote.credentials, user.as_deref())?;
        let mut session = Session { client: self.client.clone(), base: url.clone(), login };
        for _ in 0..=REDIRECTS_MAX {
            let place = append(&session.base, "/info/refs", Some("service=git-upload-pack"));
            let request = session.client.get(place.clone()).header(ACCEPT, "*/*");
            let (answer, mut stream) = session.send(request, budget)?;
            if answer.status.is_redirection() {
                session.base = follow(&place, &answer.location, budget)?;
                continue;
            }
            check(&answer, "application/x-git-upload-pack-advertisement", budget)?;
            let advertisement = wire::advertisement(&mut stream, remote.branch(), budget)?;
            return Ok((session, advertisement));
        }
        Err(budget.protocol(format!("more than {REDIRECTS_MAX} redirects")))
    }
}

impl Session {
    /// Fetches into `receiver` what `known` commits do not bring.
    pub(crate) fn fetch(
        &self,
        advertisement: &Advertisement,
        known: &[CommitId],
        receiver: Receiver<'_>,
        budget: &mut Budget,
    ) -> Result<()> {
        let body = advertisement.request(known, budget)?;
        let request = self
            .client
            .post(append(&self.base, "/git-upload-pack", None))
            .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
            .header(ACCEPT, "application/x-git-upload-pack-result")
            .body(body);
        let (answer, mut stream) = self.send(request, budget)?;
        check(&answer, "application/x-git-upload-pack-result", budget)?;
        wire::pack(&mut stream, receiver, budget)
    }

    fn send(&self, request: RequestBuilder, budget: &Budget) -> Result<(Answer, Stream<Answer>)> {
        let request = match &self.login {
            Some(login) => request.basic_auth(&login.user, Some(&login.password)),
            None => request,
        };
        // Our own clock rings first; this one only makes sure that the thread ends.
        let request = request.timeout(budget.left()? + Duration::from_secs(1));
        let stream = Stream::start(move |sender| match request.send() {
            Ok(response) => {
                if sender.send(Event::Begun(answer(&response))) {
                    sender.copy(response);
                }
            }
            Err(error) => {
                sender.send(Event::Failed(plain(&error)));
            }
        });
        match stream.event(budget)? {
            Some(Event::Begun(answer)) => Ok((answer, stream)),
            Some(Event::Failed(why)) => Err(budget.unreachable(why)),
            Some(Event::Bytes(_)) | None => Err(budget.unreachable("the connection was closed")),
        }
    }
}

fn answer(response: &Response) -> Answer {
    let header = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    Answer {
        status: response.status(),
        content_type: header(CONTENT_TYPE.as_str()),
        location: header(LOCATION.as_str()),
        retry_after: header("retry-after"),
    }
}

/// The innermost cause: reqwest's own sentence only repeats the address.
fn plain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    // An I/O error that was made of another one passes that over as its source.
    while let Some(inner) = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        cause = inner;
    }
    match cause.downcast_ref() {
        // The second is what an authority with a known name, but another key, makes of it.
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => "its certificate is of an unknown authority: where that is your own, name it as git.caFile in the \
               daemon's configuration"
            .to_owned(),
        _ => cause.to_string(),
    }
}

/// The certificates in a file of authorities. One without any would trust nobody: a mistake that is better told.
fn certificates(file: &Path, text: &str) -> Result<Vec<Certificate>> {
    let failed = |why: &str| Error::Credential { path: file.to_owned(), source: std::io::Error::other(why) };
    let found = Certificate::from_pem_bundle(text.as_bytes())
        .map_err(|_| failed("it has what is no certificate in PEM"))?;
    if found.is_empty() { Err(failed("it has no certificate in PEM")) } else { Ok(found) }
}

fn check(answer: &Answer, content_type: &str, budget: &Budget) -> Result<()> {
    let url = || budget.url().to_owned();
    let status = answer.status;
    match status.as_u16() {
        200 => {}
        401 | 403 => {
            let why =
                format!("{status}: see git.tokenFile or git.passwordFile in the daemon's configuration");
            return Err(Error::Denied { url: url(), why });
        }
        404 | 410 => {
            let why = format!("{status}: there is no such repository, or we may not see it");
            return Err(Error::Denied { url: url(), why });
        }
        _ if answer.retry_after.is_empty() => return Err(budget.unreachable(status.to_string())),
        _ => {
            let after = wire::shown(answer.retry_after.as_bytes());
            return Err(budget.unreachable(format!("{status}, to be tried again after {after}")));
        }
    }
    if answer.content_type.split(';').next().map(str::trim) != Some(content_type) {
        let found = wire::shown(answer.content_type.as_bytes());
        let why = format!("its answer is `{found}`: a login page, or not a repository's address");
        return Err(budget.protocol(why));
    }
    Ok(())
}

/// Where a redirect leads, if it stays with the same server: elsewhere our login must not go.
fn follow(from: &Url, location: &str, budget: &Budget) -> Result<Url> {
    let elsewhere = |to: &str| Error::Redirected {
        url: budget.url().to_owned(),
        to: wire::shown(to.split(['?', '#']).next().unwrap_or_default().as_bytes()),
    };
    let mut to = from.join(location).map_err(|_| elsewhere(location))?;
    if to.origin() != from.origin() || !to.username().is_empty() || to.password().is_some() {
        // Nothing secret may hide in what is shown.
        let _ = to.set_username("");
        let _ = to.set_password(None);
        return Err(elsewhere(to.as_str()));
    }
    let Some(path) = to.path().strip_suffix("/info/refs").map(str::to_owned) else {
        return Err(elsewhere(to.as_str()));
    };
    to.set_path(&path);
    to.set_query(None);
    to.set_fragment(None);
    Ok(to)
}

fn append(base: &Url, path: &str, query: Option<&str>) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    url
}

/// Reads the files anew: tokens are rotated.
fn login(credentials: &Credentials, user: Option<&str>) -> Result<Option<Login>> {
    let Some(file) = credentials.token_file.as_ref().or(credentials.password_file.as_ref()) else {
        return Ok(None);
    };
    let user = match &credentials.username_file {
        Some(file) => secret(file)?,
        None => user.unwrap_or(USER).to_owned(),
    };
    Ok(Some(Login { user, password: secret(file)? }))
}

fn secret(path: &Path) -> Result<String> {
    Ok(text(path, SECRET_MAX)?.trim().to_owned())
}

/// What stands in a file of at most `max` bytes.
fn text(path: &Path, max: u64) -> Result<String> {
    let failed = |source| Error::Credential { path: path.to_owned(), source };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(max + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > max {
        return Err(failed(std::io::Error::other(format!("it has more than {max} bytes"))));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    #[test]
    fn of_nested_errors_the_innermost_is_told_and_an_unknown_authority_with_its_cure() {
        let told = |error: rustls::Error| plain(&Error::other(Error::other(error)));
        for unknown in [CertificateError::UnknownIssuer, CertificateError::BadSignature] {
            let told = told(rustls::Error::InvalidCertificate(unknown));
            assert!(told.contains("name it as git.caFile"), "{told}");
        }
        let expired = told(rustls::Error::InvalidCertificate(CertificateError::Expired));
        assert_eq!(expired, "invalid peer certificate: Expired");
        assert_eq!(plain(&Error::other("nobody there")), "nobody there");
    }

    #[test]
    fn a_file_of_authorities_without_a_certificate_is_told() {
        for text in
            ["", "nothing of that kind", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"]
        {
            let error = certificates(Path::new("/ca.crt"), text).unwrap_err();
            assert_eq!(error.to_string(), "cannot read /ca.crt", "{text:?}");
        }
    }
}
