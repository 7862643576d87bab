//! Test and peer talk over the loopback interface, which needs no rights.

use super::protocol::{Reply, Request, hear, say};
use super::*;
use crate::certify::Stop;
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use steps::RecordingSystem;

struct Running {
    route: Route,
    system: Arc<RecordingSystem>,
    stop: Stop,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

fn peer(interface: Option<&str>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("address");
    let system = RecordingSystem::new().file("/sys/class/net/eth9/mtu", "1500\n");
    let (system, stop) = (Arc::new(system), Stop::new());
    let peer = Peer {
        interface: interface.map(str::to_owned),
        system: system.clone(),
        stop: stop.clone(),
        log: Arc::new(|_| {}),
    };
    Running {
        route: Route {
            interface: "lo".to_owned(),
            peer: address.to_string(),
        },
        system,
        stop,
        thread: Some(std::thread::spawn(move || peer.serve(&listener))),
    }
}

impl Running {
    fn end(mut self) -> Vec<String> {
        self.stop.ask();
        let thread = self.thread.take().expect("runs");
        thread.join().expect("no panic").expect("no error");
        self.system.command_lines()
    }
}

#[test]
fn data_goes_both_ways_and_is_counted() {
    let peer = peer(None);
    let session = Session::open(&peer.route).expect("session");
    let start = Instant::now();
    let up = session
        .upload(&|| start.elapsed() < Duration::from_millis(200))
        .expect("upload");
    let down = session
        .download(Duration::from_millis(200), &|| true)
        .expect("download");
    assert!(
        up.bytes > 1 << 20 && down.bytes > 1 << 20,
        "{up:?} {down:?}"
    );
    assert!(up.mbit() > 10 && (100..5000).contains(&up.ms), "{up:?}");
    drop(session);
    assert!(peer.end().is_empty(), "nothing was changed");
}

#[test]
fn datagrams_are_counted_on_both_ways() {
    let peer = peer(None);
    let mut session = Session::open(&peer.route).expect("session");
    let counted = session
        .datagrams(500, 1200, 5000, &|| true)
        .expect("datagrams");
    let expected = Counted {
        sent: 500,
        arrived: 500,
        returned: 500,
        late: 0,
    };
    assert_eq!(counted, expected);
    let again = session
        .datagrams(3, 8, 1000, &|| true)
        .expect("again in the same session");
    assert_eq!(again.returned, 3);
    drop(session);
    peer.end();
}

#[test]
fn a_peer_changes_its_interface_only_where_it_was_told_to_and_puts_it_back() {
    let closed = peer(None);
    let mut session = Session::open(&closed.route).expect("session");
    let refused = session.mtu(9000).expect_err("refused").to_string();
    assert!(refused.contains("--interface"), "{refused}");
    drop(session);
    closed.end();

    let open = peer(Some("eth9"));
    let mut session = Session::open(&open.route).expect("session");
    session.mtu(9000).expect("done");
    let mut other = Session::open(&open.route).expect("session");
    let refused = other.vlan(5).expect_err("one at a time").to_string();
    assert!(refused.contains("another test"), "{refused}");
    assert!(session.mtu(70).is_err() && session.vlan(4095).is_err());
    drop((session, other));
    let commands = open.end();
    assert_eq!(
        commands,
        [
            "ip link set dev eth9 mtu 9000",
            "ip link set dev eth9 mtu 1500"
        ]
    );
}

#[test]
fn other_versions_and_other_protocols_are_refused() {
    let peer = peer(None);
    let stream = TcpStream::connect(&peer.route.peer).expect("connect");
    let mut lines = BufReader::new(stream);
    say(lines.get_ref(), &Request::Hello { version: 99 }).expect("say");
    let reply: Option<Reply> = hear(&mut lines).expect("hear");
    assert!(matches!(reply, Some(Reply::Refused { reason }) if reason.contains("version 1")));
    let mut stream = TcpStream::connect(&peer.route.peer).expect("connect");
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").expect("write");
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut rest).expect("closed");
    assert!(rest.is_empty());
    drop(lines);
    peer.end();
}

#[test]
fn a_peer_that_is_not_there_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let route = Route {
        interface: "lo".to_owned(),
        peer: listener.local_addr().expect("address").to_string(),
    };
    drop(listener);
    let error = Session::open(&route).expect_err("nobody").to_string();
    assert!(
        error.contains("is not reached through lo") && error.contains("hcl-checker peer"),
        "{error}"
    );
}
