//! The protocol's client against servers that say anything.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use triton::git::{Error, Limits, Mirror, Poll, Remote};

use crate::generative::{any_text, corpus, is_a_line, spoilt, values};
use crate::git::network::{reply, serve};

const ADVERTISEMENT: &[u8] = b"001e# service=git-upload-pack\n0000\
009db6fc4c620b67d95f953a5c1c1230aaab5db5a1b0 refs/heads/main\x00multi_ack_detailed side-band-64k ofs-delta no-progress agent=git/2.39.0 object-format=sha1 x=yz\n\
003ab6fc4c620b67d95f953a5c1c1230aaab5db5a1b0 refs/heads/x\n0000";
/// `NAK`, a pack without objects on the first band, and the end.
const PACK: &[u8] = b"0008NAK\n0025\x01PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e0000";

/// A server whose answers are set before each poll: the list of branches, then the pack.
struct Server {
    answers: Arc<Mutex<(Vec<u8>, Vec<u8>)>>,
    state: tempfile::TempDir,
    mirror: Mirror,
}

impl Server {
    fn new() -> Self {
        let answers = Arc::new(Mutex::new((Vec::new(), Vec::new())));
        let told = Arc::clone(&answers);
        let address = serve(move |request| {
            let (list, pack) = told.lock().unwrap().clone();
            let (kind, body) =
                if request.method == "GET" { ("advertisement", list) } else { ("result", pack) };
            reply("200 OK", &format!("Content-Type: application/x-git-upload-pack-{kind}\r\n"), &body)
        });
        let state = tempfile::tempdir().unwrap();
        let remote = Remote::new(&format!("{address}/x"), "main").unwrap();
        let limits = Limits { bytes_max: 1 << 20, ..Limits::default() };
        let mirror = Mirror::open(state.path(), remote, limits).unwrap();
        Self { answers, state, mirror }
    }

    /// Polls once with these answers.
    fn poll(&mut self, list: Vec<u8>, pack: Vec<u8>) -> Result<Poll, Error> {
        *self.answers.lock().unwrap() = (list, pack);
        self.mirror.poll()
    }

    /// Whatever was answered: a sentence, no head that is not whole, and nothing left behind.
    fn check(&mut self, list: Vec<u8>, pack: Vec<u8>) {
        let shown = format!("{:?} {:?}", String::from_utf8_lossy(&list), String::from_utf8_lossy(&pack));
        let error = self.poll(list, pack).expect_err(&shown);
        let sentence = error.to_string();
        assert!(is_a_line(&sentence), "{shown}: {sentence:?}");
        let known =
            ["unreachable", "denied", "protocol", "too-large", "unsupported", "empty", "branch-missing"];
        let is_known = known.contains(&error.category())
            || matches!(error, Error::Object { .. } | Error::UnknownCommit { .. });
        assert!(is_known, "{shown}: {error:?}");
        assert_eq!(self.mirror.head().unwrap(), None);
        let packs = std::fs::read_dir(self.state.path().join("mirror-1.git/objects/pack")).unwrap();
        let half =
            packs.flatten().filter(|it| it.file_name().to_string_lossy().starts_with("pack_git2_")).count();
        assert_eq!(half, 0, "{shown}");
    }
}

#[test]
fn a_server_may_list_its_branches_in_any_words() {
    let mut server = Server::new();
    for list in values(&spoilt(ADVERTISEMENT), 80) {
        server.check(list, PACK.to_vec());
    }
    for list in values(&prop::collection::vec(any::<u8>(), 0..80), 20) {
        server.check(list, Vec::new());
    }
    for text in values(&any_text(), 40) {
        let packet = |text: &str| format!("{:04x}{text}", text.len() + 4);
        server.check(packet(&text).into_bytes(), Vec::new());
        server.check(packet(&format!("ERR {text}")).into_bytes(), Vec::new());
        let refs = format!("b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0 refs/heads/{text}\0side-band-64k");
        server.check(format!("{}0000", packet(&refs)).into_bytes(), Vec::new());
    }
}

#[test]
fn a_server_may_answer_with_any_pack() {
    let mut server = Server::new();
    for pack in values(&spoilt(PACK), 80) {
        server.check(ADVERTISEMENT.to_vec(), pack);
    }
    for pack in values(&prop::collection::vec(any::<u8>(), 0..80), 20) {
        server.check(ADVERTISEMENT.to_vec(), pack);
    }
    for text in values(&any_text(), 20) {
        let length = text.len() + 5;
        server.check(ADVERTISEMENT.to_vec(), format!("0008NAK\n{length:04x}\u{3}{text}0000").into_bytes());
    }
}

#[test]
fn the_kept_answers_are_told() {
    let mut server = Server::new();
    for (name, bytes) in corpus("wire") {
        match name.starts_with("pack-") {
            true => server.check(ADVERTISEMENT.to_vec(), bytes),
            false => server.check(bytes, PACK.to_vec()),
        }
    }
}

/// The sound answers are sound: what is missing is the commit.
#[test]
fn what_is_spoilt_above_is_understood_as_it_is() {
    let mut server = Server::new();
    let error = server.poll(ADVERTISEMENT.to_vec(), PACK.to_vec()).unwrap_err();
    assert!(matches!(error, Error::UnknownCommit { .. } | Error::Object { .. }), "{error:?}");
}
