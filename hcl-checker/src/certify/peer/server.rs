//! The peer itself.

use super::protocol::{LONGEST_MS, NUMBER, PEER_ADDRESS, Reply, Request, VERSION, hear, say};
use crate::certify::change::{NO_VLANS, knows_no_vlans};
use crate::certify::{Change, Stop};
use nix::sys::socket::{setsockopt, sockopt};
use std::collections::HashSet;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use steps::System;

/// Connections at a time: a test has four of them and one for questions.
const CONNECTIONS: usize = 16;
/// A connection that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(120);
/// How often a waiting thread looks whether to stop.
const LOOK: Duration = Duration::from_millis(200);
/// Data is written in pieces of this size.
const PIECE: usize = 256 * 1024;
/// Room for datagrams that came and were not looked at yet, bytes.
const ROOM: usize = 8 << 20;
/// Different numbers that are kept apart: longer tests count the rest as different.
const NUMBERS: usize = 4 << 20;

/// A peer.
pub struct Peer {
    /// The interface that sessions may change; none lets them change nothing.
    pub interface: Option<String>,
    /// Commands for that.
    pub system: Arc<dyn System>,
    /// When to end.
    pub stop: Stop,
    /// Told who comes and what is changed.
    pub log: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Peer {
    /// Answers until it is told to stop, and returns when everything that was changed is undone.
    ///
    /// # Errors
    /// The listener fails.
    pub fn serve(self, listener: &TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let peer = Arc::new(self);
        let busy = Arc::new(AtomicBool::new(false));
        let open = Arc::new(AtomicUsize::new(0));
        let mut threads: Vec<thread::JoinHandle<()>> = Vec::new();
        while !peer.stop.is_asked() {
            match listener.accept() {
                Ok((stream, from)) => {
                    threads.retain(|thread| !thread.is_finished());
                    if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
                        open.fetch_sub(1, Ordering::Relaxed);
                        (peer.log)(&format!("{from}: too many connections, refused"));
                        continue;
                    }
                    let (peer, busy, open) = (peer.clone(), busy.clone(), open.clone());
                    threads.push(thread::spawn(move || {
                        let mut connection = Connection {
                            peer: &peer,
                            busy: &busy,
                            changes: Vec::new(),
                        };
                        if let Err(error) = connection.serve(&stream) {
                            (peer.log)(&format!("{from}: {error}"));
                        }
                        connection.undo();
                        open.fetch_sub(1, Ordering::Relaxed);
                    }));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(LOOK / 4),
                Err(error) => return Err(error),
            }
        }
        for thread in threads {
            // One that died has said so on standard error.
            let _ = thread.join();
        }
        Ok(())
    }
}

/// One connection, with what it changed.
struct Connection<'a> {
    peer: &'a Peer,
    /// Whether some connection has changed the interface.
    busy: &'a AtomicBool,
    changes: Vec<Change>,
}

impl Connection<'_> {
    fn serve(&mut self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(IDLE))?;
        let mut lines = BufReader::new(Patient {
            stream,
            stop: &self.peer.stop,
        });
        let mut datagrams: Option<Counter> = None;
        while let Some(request) = hear::<Request>(&mut lines)? {
            let reply = match request {
                Request::Hello { version } if version != VERSION => refused(format!(
                    "this peer speaks version {VERSION}, the test {version}; use the same hcl-checker at both ends"
                )),
                Request::Hello { .. } => Reply::Hello {
                    version: VERSION,
                    program: env!("CARGO_PKG_VERSION").to_owned(),
                },
                Request::Receive => {
                    say(stream, &Reply::Ready)?;
                    return receive(&mut lines, stream);
                }
                Request::Send { ms } => {
                    say(stream, &Reply::Ready)?;
                    return send(stream, ms.min(LONGEST_MS), &self.peer.stop);
                }
                Request::Datagrams => {
                    let (own, other) = (stream.local_addr()?, stream.peer_addr()?);
                    let counter = Counter::open(own.ip(), other.ip())?;
                    let port = counter.port;
                    datagrams = Some(counter);
                    Reply::Port { port }
                }
                Request::Count => match datagrams.take() {
                    Some(counter) => counter.count(),
                    None => refused("no datagrams were announced"),
                },
                Request::Mtu { mtu } => self.mtu(mtu),
                Request::Vlan { id } => self.vlan(id),
            };
            say(stream, &reply)?;
        }
        Ok(())
    }

    /// The interface, where this connection may change it.
    fn take_interface(&self) -> Result<String, Reply> {
        let Some(interface) = &self.peer.interface else {
            return Err(refused(
                "the peer changes no interface: start it with --interface NAME",
            ));
        };
        let mine = !self.changes.is_empty();
        if !mine && self.busy.swap(true, Ordering::AcqRel) {
            return Err(refused("another test uses the interface of the peer"));
        }
        Ok(interface.clone())
    }

    fn change(&mut self, changes: Vec<Change>) -> Reply {
        for change in changes {
            (self.peer.log)(&format!("now: {change}"));
            self.changes.push(change.clone());
            if let Err(error) = change.make(&*self.peer.system) {
                let error = error.to_string();
                if knows_no_vlans(&error) {
                    return refused(NO_VLANS);
                }
                return refused(format!("{change}: {error}"));
            }
        }
        Reply::Done
    }

    fn mtu(&mut self, mtu: u32) -> Reply {
        if !(1280..=9216).contains(&mtu) {
            return refused(format!("no MTU of {mtu}"));
        }
        let interface = match self.take_interface() {
            Ok(interface) => interface,
            Err(refused) => return refused,
        };
        let file = format!("/sys/class/net/{interface}/mtu");
        let now = self.peer.system.read_file(Path::new(&file));
        let from = now
            .ok()
            .and_then(|text| String::from_utf8_lossy(&text).trim().parse::<u32>().ok());
        match from {
            Some(from) if from == mtu => Reply::Done,
            Some(from) => self.change(vec![Change::Mtu {
                interface,
                from,
                to: mtu,
            }]),
            None => refused(format!("{file} cannot be read")),
        }
    }

    fn vlan(&mut self, id: u16) -> Reply {
        if !(1..=4094).contains(&id) {
            return refused(format!("no VLAN {id}"));
        }
        let parent = match self.take_interface() {
            Ok(interface) => interface,
            Err(refused) => return refused,
        };
        let name = format!("hclp{id}");
        self.change(vec![
            Change::Vlan {
                parent,
                name: name.clone(),
                id,
            },
            Change::Address {
                interface: name.clone(),
                address: PEER_ADDRESS.to_owned(),
            },
            Change::Up { interface: name },
        ])
    }

    fn undo(&mut self) {
        let changed = !self.changes.is_empty();
        for change in self.changes.drain(..).rev() {
            match change.undo(&*self.peer.system) {
                Ok(()) => (self.peer.log)(&format!("undone: {change}")),
                Err(error) => (self.peer.log)(&format!("NOT undone: {change}: {error}")),
            }
        }
        if changed {
            self.busy.store(false, Ordering::Release);
        }
    }
}

fn refused(reason: impl Into<String>) -> Reply {
    Reply::Refused {
        reason: reason.into(),
    }
}

/// A stream that waits for the other side, but not for ever, and not when the peer is to stop.
struct Patient<'a> {
    stream: &'a TcpStream,
    stop: &'a Stop,
}

impl Read for Patient<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let start = Instant::now();
        loop {
            match (&mut &*self.stream).read(buf) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if self.stop.is_asked() {
                        return Ok(0);
                    }
                    if start.elapsed() > IDLE {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                other => return other,
            }
        }
    }
}

fn receive(data: &mut impl Read, stream: &TcpStream) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let (mut bytes, start) = (0, Instant::now());
    loop {
        match data.read(&mut piece)? {
            0 => break,
            read => bytes += read as u64,
        }
    }
    say(
        stream,
        &Reply::Received {
            bytes,
            ms: millis(start.elapsed()),
        },
    )
}

fn send(mut stream: &TcpStream, ms: u64, stop: &Stop) -> io::Result<()> {
    let piece = vec![0x5a; PIECE];
    let end = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < end && !stop.is_asked() {
        stream.write_all(&piece)?;
    }
    stream.shutdown(std::net::Shutdown::Write)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Makes room for datagrams that come while nobody looks. Only root may have more than `net.core.rmem_max`.
pub(super) fn make_room(socket: &UdpSocket) {
    if setsockopt(socket, sockopt::RcvBufForce, &ROOM).is_err() {
        // The usual room is a small one, and enough at the rates of the tests.
        let _ = setsockopt(socket, sockopt::RcvBuf, &ROOM);
    }
}

#[derive(Debug, Default)]
struct Counts {
    received: u64,
    late: u64,
    highest: Option<u64>,
    seen: HashSet<u64>,
    beyond: u64,
}

impl Counts {
    fn add(&mut self, number: u64) {
        self.received += 1;
        if self.highest.is_some_and(|highest| number < highest) {
            self.late += 1;
        }
        self.highest = self.highest.max(Some(number));
        if self.seen.len() < NUMBERS {
            self.seen.insert(number);
        } else if !self.seen.contains(&number) {
            self.beyond += 1;
        }
    }
}

/// Counts datagrams of one other machine and sends each back.
struct Counter {
    port: u16,
    counts: Arc<Mutex<Counts>>,
    end: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Counter {
    fn open(own: IpAddr, other: IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(own, 0))?;
        socket.set_read_timeout(Some(LOOK))?;
        make_room(&socket);
        let port = socket.local_addr()?.port();
        let counts: Arc<Mutex<Counts>> = Arc::default();
        let end = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (counts, end) = (counts.clone(), end.clone());
            move || count_all(&socket, other, &counts, &end)
        });
        Ok(Self {
            port,
            counts,
            end,
            thread: Some(thread),
        })
    }

    fn count(self) -> Reply {
        let counts = self.counts.clone();
        drop(self);
        let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        Reply::Counted {
            received: counts.received,
            late: counts.late,
            different: counts.seen.len() as u64 + counts.beyond,
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Until it is to end and nothing more comes.
fn count_all(socket: &UdpSocket, other: IpAddr, counts: &Mutex<Counts>, end: &AtomicBool) {
    let mut data = vec![0; 65_536];
    loop {
        match socket.recv_from(&mut data) {
            Ok((length, from)) if from.ip() == other && length >= NUMBER => {
                let mut number = [0; NUMBER];
                number.copy_from_slice(&data[..NUMBER]);
                let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                counts.add(u64::from_be_bytes(number));
                drop(counts);
                // One that cannot be sent back is missed by the other side.
                let _ = socket.send_to(&data[..length], from);
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if end.load(Ordering::Relaxed) {
                    return;
                }
            }
            // A refused datagram of before; others follow.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_doubled_and_late_datagrams_are_told_apart() {
        let mut counts = Counts::default();
        for number in [0, 1, 3, 2, 3, 5] {
            counts.add(number);
        }
        assert_eq!((counts.received, counts.late, counts.seen.len()), (6, 1, 5));
    }
}
