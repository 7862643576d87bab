//! Tests of interfaces, with a peer on the loopback interface and counters of the imagination.

use super::*;
use crate::certify::bench::testing::Fixture;
use crate::certify::peer::Peer;
use crate::certify::{Status, Stop};
use std::net::TcpListener;
use std::sync::Arc;
use steps::RecordingSystem;

#[test]
fn loss_is_judged_in_each_direction() {
    let judge = |sent, arrived, returned| {
        let mut outcome = Outcome::new();
        let counted = Counted {
            sent,
            arrived,
            returned,
            late: 0,
        };
        judge_loss(&mut outcome, counted, "test");
        (outcome.status, outcome.reason)
    };
    assert_eq!(judge(100, 100, 100).0, Status::Passed);
    assert_eq!(judge(20_000, 19_998, 19_998).0, Status::Passed);
    let (status, reason) = judge(100, 99, 99);
    assert_eq!(status, Status::Failed);
    assert_eq!(reason, "1 of 100 datagrams were lost on the way out");
    assert!(judge(100, 100, 99).1.contains("way back"));
    assert_eq!(judge(0, 0, 0).0, Status::Failed);
}

#[test]
fn a_duplex_that_is_not_known_is_no_full_duplex() {
    let judge = |told| {
        let mut outcome = Outcome::new();
        judge_duplex(&mut outcome, "eth0", told);
        let one = outcome.measurements.remove(0);
        (outcome.status, one.observed, one.expected)
    };
    let text = |text: &str| text.to_owned();
    assert_eq!(
        judge(Some("full")),
        (Status::Passed, text("full"), text("full"))
    );
    assert_eq!(
        judge(Some("half")),
        (Status::Failed, text("half"), text("full"))
    );
    assert_eq!(
        judge(Some("unknown")),
        (
            Status::Passed,
            text("not known: its driver says `unknown`"),
            text("")
        )
    );
    assert_eq!(judge(None), (Status::Passed, text("not told"), text("")));
}

#[test]
fn the_speed_of_the_link_decides_what_is_asked_and_sent() {
    let with = |speed: &str| {
        let system = RecordingSystem::new().file("/sys/class/net/eth0/speed", speed);
        link_speed(&system, "eth0")
    };
    // -1 is what many drivers tell without a link, or of a link without a speed.
    assert_eq!(
        [with("1000\n"), with("-1\n"), with("")],
        [Some(1000), None, None]
    );
    assert_eq!(expected_mbit(Some(1000)), Some(800));
    assert_eq!(expected_mbit(Some(25_000)), Some(8000));
    assert_eq!(expected_mbit(None), None);
    assert_eq!(
        [Some(1000), Some(100_000), None].map(paced_mbit),
        [100, 200, 10]
    );
}

/// The loopback interface of a machine that counts nothing and answers so where it is asked for the way to the peer.
fn loopback(way: &str) -> RecordingSystem {
    let file = |name: &str| format!("/sys/class/net/lo/{name}");
    RecordingSystem::new()
        .file(file("flags"), "0x9\n")
        .file(file("carrier"), "1\n")
        .file(file("statistics/tx_bytes"), "70\n")
        .file(file("statistics/rx_bytes"), "70\n")
        .prints("ip -oneline route get 127.0.0.1", way)
}

/// Sends through the loopback interface to a peer on this machine.
fn sent_to_myself(
    system: RecordingSystem,
    test: impl FnOnce(&mut Bench<'_>, Way) -> Result<Outcome, TestError>,
) -> Result<Outcome, TestError> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("address").to_string();
    let stop = Stop::new();
    let peer = Peer {
        interface: None,
        system: Arc::new(RecordingSystem::new()),
        stop: stop.clone(),
        log: Arc::new(|_| {}),
    };
    let serving = std::thread::spawn(move || peer.serve(&listener));
    let way = Way {
        interface: "lo".to_owned(),
        bridge: None,
        peer: PeerAt {
            address,
            own_address: None,
        },
    };
    let mut fixture = Fixture::new();
    fixture.system = system;
    let outcome = fixture.with(|bench| test(bench, way));
    stop.ask();
    serving.join().expect("no panic").expect("no error");
    outcome
}

#[test]
fn a_peer_on_this_machine_is_refused_with_what_to_do() {
    let local = "local 127.0.0.1 dev lo src 127.0.0.1 uid 0 \\    cache <local> ";
    let outcome = sent_to_myself(loopback(local), |bench, way| {
        throughput(bench, &ThroughputTest { way, seconds: 1 })
    });
    let error = outcome.expect_err("refused");
    let reason = error.to_string();
    assert!(matches!(error, TestError::CannotRun(_)), "{reason}");
    assert!(
        reason.contains("is an address of this machine") && reason.contains("ip netns exec"),
        "{reason}"
    );
}

#[test]
fn an_address_is_the_machines_own_by_the_kernels_word_however_it_is_written() {
    let system = loopback("local 127.0.0.1 dev lo src 127.0.0.1 uid 0 ")
        .prints(
            "ip -oneline route get 192.0.2.2",
            "192.0.2.2 dev eth0 src 192.0.2.1 uid 0 ",
        )
        .fails(
            "ip -oneline route get 198.18.0.2",
            2,
            "RTNETLINK answers: Network is unreachable",
        );
    for (address, own) in [
        ("127.0.0.1", true),
        ("::ffff:127.0.0.1", true),
        ("0.0.0.0", true),
        ("::", true),
        ("192.0.2.2", false),
        ("198.18.0.2", false),
    ] {
        let parsed = address.parse().expect("an address");
        assert_eq!(
            is_own(&system, parsed).expect("an answer"),
            own,
            "{address}"
        );
    }
}

#[test]
fn what_the_interface_did_not_count_is_no_pass() {
    // Data that arrives and returns without a byte through the interface, as it does between two ports of one machine.
    let elsewhere = "127.0.0.1 dev eth0 src 127.0.0.2 uid 0 ";
    let outcome = sent_to_myself(loopback(elsewhere), |bench, way| {
        loss(bench, &LossTest { way, seconds: 1 })
    });
    let outcome = outcome.expect("it ran");
    assert_eq!(outcome.status, Status::Failed);
    assert!(
        outcome.reason.contains("lo counted 0 bytes as sent"),
        "{}",
        outcome.reason
    );
    let outcome = sent_to_myself(loopback(elsewhere), |bench, way| {
        throughput(bench, &ThroughputTest { way, seconds: 1 })
    });
    let reason = outcome.expect("it ran").reason;
    assert!(reason.contains("0 bytes as received"), "{reason}");
}
