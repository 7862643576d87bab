//! What test and peer say to each other: a line of JSON each way on a TCP connection.

use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};

/// Version of the protocol. Both ends must have the same.
pub(super) const VERSION: u32 = 1;
/// Port of the peer: one that IANA has not assigned.
pub const DEFAULT_PORT: u16 = 47_470;
/// Address of the machine under test within a test VLAN: from the network for tests of devices (RFC 2544).
pub const TEST_ADDRESS: &str = "198.18.0.1/30";
/// Address of the peer there.
pub const PEER_ADDRESS: &str = "198.18.0.2/30";

/// A line is never longer.
const LINE: u64 = 4096;
/// Longest stream of data, milliseconds.
pub(super) const LONGEST_MS: u64 = 600_000;
/// Bytes of a datagram's number.
pub(super) const NUMBER: usize = 8;

/// What the test asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    /// Who are you?
    Hello { version: u32 },
    /// Read what comes until I close my side, then say how much it was. The connection ends with this.
    Receive,
    /// Send for so long, then close. The connection ends with this.
    Send { ms: u64 },
    /// Open a port for datagrams, send each back, count until I ask.
    Datagrams,
    /// How many were there?
    Count,
    /// Give your interface this MTU until this connection ends.
    Mtu { mtu: u32 },
    /// Make a VLAN interface with [`PEER_ADDRESS`] until this connection ends.
    Vlan { id: u16 },
}

/// What the peer says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Reply {
    /// Who it is.
    Hello { version: u32, program: String },
    /// Go ahead.
    Ready,
    /// So much came.
    Received { bytes: u64, ms: u64 },
    /// The port for datagrams.
    Port { port: u16 },
    /// So many datagrams came, so many of them after a later one, and of different ones so many.
    Counted {
        received: u64,
        late: u64,
        different: u64,
    },
    /// It is done.
    Done,
    /// It is not done, for this reason.
    Refused { reason: String },
}

/// Writes one line.
pub(super) fn say(mut stream: impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    stream.flush()
}

/// Reads one line; none at the end of the connection.
pub(super) fn hear<T: for<'a> Deserialize<'a>>(stream: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    stream.by_ref().take(LINE).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => serde_json::from_slice(&line)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a line without end: the other side is no hcl-checker",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_frozen() {
        let line = |message: &Request| {
            let mut line = Vec::new();
            say(&mut line, message).expect("write");
            String::from_utf8(line).expect("UTF-8")
        };
        assert_eq!(
            line(&Request::Hello { version: 1 }),
            "{\"hello\":{\"version\":1}}\n"
        );
        assert_eq!(line(&Request::Receive), "\"receive\"\n");
        assert_eq!(line(&Request::Vlan { id: 5 }), "{\"vlan\":{\"id\":5}}\n");
    }

    #[test]
    fn what_is_no_line_of_this_protocol_is_refused() {
        let said = |text: &str| hear::<Request>(&mut text.as_bytes());
        assert_eq!(said("\"count\"\n").expect("line"), Some(Request::Count));
        assert_eq!(said("").expect("end"), None);
        assert!(said("GET / HTTP/1.1\r\n").is_err());
        assert!(said("\"count\"").is_err(), "cut off");
        assert!(said(&"x".repeat(10_000)).is_err(), "too long");
        assert!(said("{\"send\":{\"ms\":-1}}\n").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = hear::<Request>(&mut &bytes[..]);
            let _ = hear::<Reply>(&mut &bytes[..]);
        }
    }
}
