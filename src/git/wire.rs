//! Git's protocol, version 0, as far as reading one branch needs it (Git's `Documentation/gitprotocol-pack`).
//!
//! Version 0 because every server speaks it and it asks once: version 2 takes two requests for the same answer.

use crate::git::budget::Budget;
use crate::git::error::{Error, Result};
use crate::git::local::{SHALLOW, missing};
use crate::git::pack::Receiver;
use crate::git::stream::Stream;
use crate::model::CommitId;

/// Longest packet (`LARGE_PACKET_MAX` in Git's `pkt-line.h`).
const PACKET_MAX: usize = 65_520;
/// Names of branches that a message lists.
const BRANCHES_SHOWN: usize = 5;
/// Longest message of a server that is passed on, in characters: it becomes a part of one sentence.
const MESSAGE_MAX: usize = 300;
/// What a server must offer: without it a message could not be told from the pack.
const SIDE_BAND: &str = "side-band-64k";
/// What is used where it is offered. Azure DevOps insists on the first.
const WISHES: [&str; 3] = ["multi_ack_detailed", "ofs-delta", "no-progress"];

enum Packet {
    Flush,
    Data(Vec<u8>),
}

/// What a server says of its branches.
pub(crate) struct Advertisement {
    /// Where the tracked branch is.
    pub(crate) head: CommitId,
    capabilities: Vec<String>,
}

/// Reads the next packet; none where the answer ends.
fn packet<T: Send + 'static>(stream: &mut Stream<T>, budget: &mut Budget) -> Result<Option<Packet>> {
    let mut length = [0; 4];
    match stream.read(&mut length, budget)? {
        0 => return Ok(None),
        4 => {}
        _ => return Err(budget.unreachable("the answer was cut off")),
    }
    let digits = std::str::from_utf8(&length).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
    let length = digits.and_then(|text| usize::from_str_radix(text, 16).ok());
    match length {
        Some(0) => Ok(Some(Packet::Flush)),
        Some(length) if (4..=PACKET_MAX).contains(&length) => {
            let mut data = vec![0; length - 4];
            if stream.read(&mut data, budget)? < data.len() {
                return Err(budget.unreachable("the answer was cut off"));
            }
            refusal(&data, budget)?;
            Ok(Some(Packet::Data(data)))
        }
        _ => Err(budget.protocol("a packet without a valid length")),
    }
}

/// A server that will not go on says so in a packet that begins with `ERR`.
fn refusal(data: &[u8], budget: &Budget) -> Result<()> {
    match data.strip_prefix(b"ERR ") {
        Some(message) => {
            Err(Error::Denied { url: budget.url().to_owned(), why: format!("\"{}\"", shown(message)) })
        }
        None => Ok(()),
    }
}

/// A server's words, fit for a message: one short line without control characters.
pub(crate) fn shown(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let line = text.split(['\r', '\n']).rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    line.trim().chars().filter(|c| !c.is_control()).take(MESSAGE_MAX).collect()
}

/// Reads which branches there are. Over HTTP a line with the service's name comes first.
pub(crate) fn advertisement<T: Send + 'static>(
    stream: &mut Stream<T>,
    branch: &str,
    budget: &mut Budget,
) -> Result<Advertisement> {
    let wanted = format!("refs/heads/{branch}");
    let (mut head, mut has, mut capabilities) = (None, Vec::new(), None);
    let mut is_preamble = false;
    loop {
        let data = match packet(stream, budget)? {
            Some(Packet::Data(data)) => data,
            Some(Packet::Flush) if is_preamble => {
                is_preamble = false;
                continue;
            }
            Some(Packet::Flush) => break,
            None => return Err(budget.unreachable("the list of branches was cut off")),
        };
        let line = String::from_utf8_lossy(&data);
        let line = line.trim_end_matches('\n');
        if line.starts_with("# service=") {
            is_preamble = true;
            continue;
        }
        if line.starts_with("shallow ") {
            return Err(Error::Unsupported { url: budget.url().to_owned(), why: SHALLOW.to_owned() });
        }
        let (line, offered) = line.split_once('\0').unwrap_or((line, ""));
        if capabilities.is_none() {
            capabilities = Some(offered.split(' ').map(str::to_owned).collect::<Vec<_>>());
        }
        let Some((id, name)) = line.split_once(' ') else {
            return Err(budget.protocol("a broken list of branches"));
        };
        if name == wanted {
            let id = id.parse().map_err(|_| budget.protocol(format!("an id that is none for {wanted}")))?;
            head = Some(id);
        } else if let Some(name) = name.strip_prefix("refs/heads/").filter(|_| has.len() < BRANCHES_SHOWN) {
            has.push(shown(name.as_bytes()));
        }
    }
    let capabilities = capabilities.unwrap_or_default();
    if capabilities.iter().any(|c| c.starts_with("object-format=") && c != "object-format=sha1") {
        let why = "it uses SHA-256 for its ids, which Triton cannot read yet".to_owned();
        return Err(Error::Unsupported { url: budget.url().to_owned(), why });
    }
    let head = head.ok_or_else(|| missing(budget.url().to_owned(), branch, has))?;
    Ok(Advertisement { head, capabilities })
}

impl Advertisement {
    /// The request for all of the head's history that the commits in `known` do not bring.
    pub(crate) fn request(&self, known: &[CommitId], budget: &Budget) -> Result<Vec<u8>> {
        let has = |wish: &str| self.capabilities.iter().any(|capability| capability == wish);
        if !has(SIDE_BAND) {
            return Err(budget.protocol(format!("the server does not offer {SIDE_BAND}")));
        }
        let mut wishes = SIDE_BAND.to_owned();
        for wish in WISHES.into_iter().filter(|wish| has(wish)) {
            wishes.push(' ');
            wishes.push_str(wish);
        }
        let version = env!("CARGO_PKG_VERSION");
        let mut request = Vec::new();
        line(&mut request, &format!("want {} {wishes} agent=triton/{version}\n", self.head));
        request.extend_from_slice(b"0000");
        for commit in known {
            line(&mut request, &format!("have {commit}\n"));
        }
        line(&mut request, "done\n");
        Ok(request)
    }
}

/// Appends a packet.
fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(format!("{:04x}{text}", text.len() + 4).as_bytes());
}

/// Reads the answer to a request into a pack.
pub(crate) fn pack<T: Send + 'static>(
    stream: &mut Stream<T>,
    mut receiver: Receiver<'_>,
    budget: &mut Budget,
) -> Result<()> {
    let mut has_begun = false;
    loop {
        match packet(stream, budget)? {
            Some(Packet::Flush) if has_begun => return receiver.finish(budget),
            Some(Packet::Flush) => {}
            None => return Err(budget.unreachable("the pack was cut off")),
            Some(Packet::Data(data)) => match data.split_first() {
                Some((1, bytes)) => {
                    has_begun = true;
                    receiver.write(bytes, budget)?;
                }
                Some((2, _progress)) => {}
                Some((3, message)) => {
                    return Err(budget.unreachable(format!("the server gave up: {}", shown(message))));
                }
                // ACK and NAK: what the server knows of our commits. The pack already takes it into account.
                Some((b'A' | b'N', _)) if !has_begun => {}
                _ => return Err(budget.protocol("an unknown packet in the place of the pack")),
            },
        }
    }
}
