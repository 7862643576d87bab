//! How a test talks to a peer, through one interface and no other.

use super::protocol::{NUMBER, Reply, Request, VERSION, hear, say};
use super::server::{make_room, millis};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use std::io::{self, BufReader, Read, Write};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket,
};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};
use thiserror::Error;

/// How long a peer may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that carry data at the same time: one alone is often bound to one CPU.
const STREAMS: usize = 4;
const PIECE: usize = 256 * 1024;
/// Datagrams are sent in bursts this far apart.
const BURST: Duration = Duration::from_millis(2);
/// After the last datagram, the last answers may take so long.
const LAST: Duration = Duration::from_millis(500);

/// The way to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::certify) struct Route {
    /// Through this interface.
    pub(in crate::certify) interface: String,
    /// `ADDRESS:PORT`.
    pub(in crate::certify) peer: String,
}

/// Talking to the peer failed.
#[derive(Debug, Error)]
pub(in crate::certify) enum SessionError {
    /// It is not reached.
    #[error(
        "the peer {peer} is not reached through {interface}: {source}; is `hcl-checker peer` running there?"
    )]
    NotReached {
        peer: String,
        interface: String,
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the peer broke: {0}")]
    Broke(#[from] io::Error),
    /// It answered something else.
    #[error("the peer did not answer as it should")]
    Odd,
    /// It does not do that.
    #[error("{0}")]
    Refused(String),
}

/// A conversation. What it changed at the peer holds until it is dropped.
#[derive(Debug)]
pub(in crate::certify) struct Session {
    route: Route,
    address: SocketAddr,
    lines: BufReader<TcpStream>,
}

/// What became of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::certify) struct Counted {
    pub(in crate::certify) sent: u64,
    /// Different ones that reached the peer.
    pub(in crate::certify) arrived: u64,
    /// That came back from there.
    pub(in crate::certify) returned: u64,
    /// That reached the peer after a later one.
    pub(in crate::certify) late: u64,
}

/// Bytes in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::certify) struct Carried {
    pub(in crate::certify) bytes: u64,
    pub(in crate::certify) ms: u64,
}

impl Carried {
    /// Mbit/s.
    pub(in crate::certify) fn mbit(self) -> u64 {
        self.bytes.saturating_mul(8) / 1000 / self.ms.max(1)
    }
}

impl Route {
    /// Where the peer is.
    ///
    /// # Errors
    /// Nobody knows its name.
    pub(in crate::certify) fn address(&self) -> Result<SocketAddr, SessionError> {
        let not_reached = |source| SessionError::NotReached {
            peer: self.peer.clone(),
            interface: self.interface.clone(),
            source,
        };
        let mut found = self.peer.to_socket_addrs().map_err(not_reached)?;
        found
            .next()
            .ok_or_else(|| not_reached(io::ErrorKind::NotFound.into()))
    }

    /// Connects through the interface.
    fn connect(&self, address: SocketAddr) -> Result<TcpStream, SessionError> {
        let open = || -> io::Result<TcpStream> {
            let family = match address {
                SocketAddr::V4(_) => AddressFamily::Inet,
                SocketAddr::V6(_) => AddressFamily::Inet6,
            };
            let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            setsockopt(
                &socket,
                sockopt::BindToDevice,
                &self.interface.as_str().into(),
            )?;
            let limit = TimeVal::new(PATIENCE.as_secs().try_into().unwrap_or(10), 0);
            // For connecting, too (socket(7)).
            setsockopt(&socket, sockopt::SendTimeout, &limit)?;
            connect(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
            let stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        open().map_err(|source| SessionError::NotReached {
            peer: address.to_string(),
            interface: self.interface.clone(),
            source,
        })
    }
}

impl Session {
    /// Reaches the peer and hears that it speaks the same version.
    ///
    /// # Errors
    /// It is not reached, or speaks another version.
    pub(in crate::certify) fn open(route: &Route) -> Result<Self, SessionError> {
        let address = route.address()?;
        let stream = route.connect(address)?;
        let mut session = Self {
            route: route.clone(),
            address,
            lines: BufReader::new(stream),
        };
        match session.ask(&Request::Hello { version: VERSION })? {
            Reply::Hello { .. } => Ok(session),
            _ => Err(SessionError::Odd),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Reply, SessionError> {
        say(self.lines.get_ref(), request)?;
        match hear(&mut self.lines)? {
            Some(Reply::Refused { reason }) => Err(SessionError::Refused(reason)),
            Some(reply) => Ok(reply),
            None => Err(SessionError::Broke(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn done(&mut self, request: &Request) -> Result<(), SessionError> {
        match self.ask(request)? {
            Reply::Done => Ok(()),
            _ => Err(SessionError::Odd),
        }
    }

    /// Asks the peer to take another MTU as long as this session lives.
    ///
    /// # Errors
    /// It does not.
    pub(in crate::certify) fn mtu(&mut self, mtu: u32) -> Result<(), SessionError> {
        self.done(&Request::Mtu { mtu })
    }

    /// Asks the peer to have a VLAN as long as this session lives.
    ///
    /// # Errors
    /// It does not.
    pub(in crate::certify) fn vlan(&mut self, id: u16) -> Result<(), SessionError> {
        self.done(&Request::Vlan { id })
    }

    /// Its port.
    pub(in crate::certify) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Whether the peer is reached by IPv6.
    pub(in crate::certify) fn is_v6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// Sends data to the peer until `goes_on` says no; the peer counts it.
    ///
    /// # Errors
    /// A connection fails.
    pub(in crate::certify) fn upload(
        &self,
        goes_on: &(impl Fn() -> bool + Sync),
    ) -> Result<Carried, SessionError> {
        self.streams(&|| {
            let mut lines = self.another(&Request::Receive)?;
            let piece = vec![0xa5; PIECE];
            while goes_on() {
                lines.get_mut().write_all(&piece)?;
            }
            lines.get_ref().shutdown(Shutdown::Write)?;
            match hear(&mut lines)? {
                Some(Reply::Received { bytes, ms }) => Ok(Carried { bytes, ms }),
                _ => Err(SessionError::Odd),
            }
        })
    }

    /// Receives data from the peer for `time`.
    ///
    /// # Errors
    /// A connection fails.
    pub(in crate::certify) fn download(
        &self,
        time: Duration,
        goes_on: &(impl Fn() -> bool + Sync),
    ) -> Result<Carried, SessionError> {
        self.streams(&|| {
            let mut lines = self.another(&Request::Send { ms: millis(time) })?;
            let mut piece = vec![0; PIECE];
            let (mut bytes, start) = (0, Instant::now());
            while goes_on() {
                match lines.read(&mut piece)? {
                    0 => break,
                    read => bytes += read as u64,
                }
            }
            Ok(Carried {
                bytes,
                ms: millis(start.elapsed()),
            })
        })
    }

    /// Another connection, for data.
    fn another(&self, request: &Request) -> Result<BufReader<TcpStream>, SessionError> {
        let stream = self.route.connect(self.address)?;
        say(&stream, request)?;
        let mut lines = BufReader::new(stream);
        match hear(&mut lines)? {
            Some(Reply::Ready) => Ok(lines),
            Some(Reply::Refused { reason }) => Err(SessionError::Refused(reason)),
            _ => Err(SessionError::Odd),
        }
    }

    /// The same on several connections; bytes add up, the slowest counts.
    fn streams(
        &self,
        work: &(impl Fn() -> Result<Carried, SessionError> + Sync),
    ) -> Result<Carried, SessionError> {
        thread::scope(|scope| {
            let workers: Vec<_> = (0..STREAMS).map(|_| scope.spawn(work)).collect();
            let mut all = Carried { bytes: 0, ms: 0 };
            for worker in workers {
                let one = worker.join().map_err(|_| SessionError::Odd)??;
                all.bytes += one.bytes;
                all.ms = all.ms.max(one.ms);
            }
            Ok(all)
        })
    }

    /// Sends `count` datagrams of `size` bytes, `per_second` of them each second, and counts what arrives and returns.
    ///
    /// # Errors
    /// The port cannot be opened, or the connection breaks.
    pub(in crate::certify) fn datagrams(
        &mut self,
        count: u64,
        size: usize,
        per_second: u64,
        goes_on: &(impl Fn() -> bool + Sync),
    ) -> Result<Counted, SessionError> {
        let Reply::Port { port } = self.ask(&Request::Datagrams)? else {
            return Err(SessionError::Odd);
        };
        let any: IpAddr = match self.address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        setsockopt(
            &socket,
            sockopt::BindToDevice,
            &self.route.interface.as_str().into(),
        )
        .map_err(io::Error::from)?;
        let mut to = self.address;
        to.set_port(port);
        socket.connect(to)?;
        socket.set_read_timeout(Some(LAST))?;
        make_room(&socket);
        let (sent, returned) = thread::scope(|scope| {
            let coming_back = scope.spawn(|| count_returned(&socket, count));
            let sent = send_paced(&socket, count, size, per_second, goes_on);
            let returned = coming_back.join().unwrap_or_default();
            (sent, returned)
        });
        let sent = sent?;
        match self.ask(&Request::Count)? {
            Reply::Counted {
                late, different, ..
            } => Ok(Counted {
                sent,
                arrived: different,
                returned,
                late,
            }),
            _ => Err(SessionError::Odd),
        }
    }
}

fn send_paced(
    socket: &UdpSocket,
    count: u64,
    size: usize,
    per_second: u64,
    goes_on: &impl Fn() -> bool,
) -> io::Result<u64> {
    let mut data = vec![0x3c; size.max(NUMBER)];
    let start = Instant::now();
    let mut sent = 0;
    while sent < count && goes_on() {
        let due = u128::from(per_second) * start.elapsed().as_micros() / 1_000_000 + 1;
        while sent < count && u128::from(sent) < due {
            data[..NUMBER].copy_from_slice(&sent.to_be_bytes());
            match socket.send(&data) {
                Ok(_) => {}
                // The queue of the interface is full: this one is lost, and counts as sent.
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
            sent += 1;
        }
        thread::sleep(BURST);
    }
    Ok(sent)
}

/// Counts what comes back, until all did or nothing came for a while.
fn count_returned(socket: &UdpSocket, count: u64) -> u64 {
    let mut data = vec![0; 65_536];
    let mut seen = vec![false; usize::try_from(count).unwrap_or_default()];
    let (mut returned, mut quiet) = (0, 0);
    // Where nothing comes at all, the sender may still be at work; it is paced, so pauses longer than this mean loss.
    while returned < count && quiet < 4 {
        match socket.recv(&mut data) {
            Ok(length) => {
                quiet = 0;
                let number = data[..length]
                    .first_chunk()
                    .map(|number| u64::from_be_bytes(*number));
                let place = number.and_then(|number| usize::try_from(number).ok());
                // One that comes twice counts once.
                if let Some(seen) = place.and_then(|place| seen.get_mut(place)) {
                    returned += u64::from(!std::mem::replace(seen, true));
                }
            }
            Err(_) => quiet += 1,
        }
    }
    returned
}
