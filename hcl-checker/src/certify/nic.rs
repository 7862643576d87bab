//! Network interfaces: link, data, datagrams, large frames, VLANs.

mod fragment_count;

use super::amount::{self, RECEIVE_TIME, SEND_TIME};
use super::byte_count::ByteCount;
use super::change::{NO_VLANS, ip, knows_no_vlans, read_text};
use super::peer::{Counted, PEER_ADDRESS, Route, Session, SessionError, TEST_ADDRESS};
use super::plan::duration;
use super::{Bench, Change, Outcome, PeerAt, TestError};
use fragment_count::fragments;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use steps::System;

/// `IFF_UP` of Linux's uapi/linux/if.h, in /sys/class/net/*/flags.
const IFF_UP: u64 = 1;
/// How long a link takes after the interface came up: negotiation of 10GBASE-T takes some seconds.
const LINK: Duration = Duration::from_secs(15);
/// Bytes of a datagram that no link has to split, in a VLAN neither.
const DATAGRAM: usize = 1200;
/// One of so many datagrams may be lost.
const LOSS: u64 = 10_000;
/// What "jumbo" means to servers and storage.
const JUMBO_MTU: u32 = 9000;
const IPV4_AND_UDP: usize = 28;
const IPV6_AND_UDP: usize = 48;

/// An interface has a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkTest {
    /// The interface.
    pub interface: String,
}

/// The way of a test's traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Way {
    /// The interface that is tested.
    pub interface: String,
    /// The bridge that has its addresses, where it is a port of one: dom0 has its own address there.
    pub bridge: Option<String>,
    /// The other end.
    pub peer: PeerAt,
}

impl Way {
    /// The interface with the addresses, which connections go through.
    fn through(&self) -> &str {
        self.bridge.as_deref().unwrap_or(&self.interface)
    }

    /// For people: where something was measured.
    fn source(&self, what: &str) -> String {
        let bridge = self.bridge.as_ref();
        let below = bridge.map_or(String::new(), |bridge| format!(", a port of {bridge}"));
        let Self {
            interface, peer, ..
        } = self;
        format!("{what} to {} through {interface}{below}", peer.address)
    }
}

/// Data in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThroughputTest {
    /// Its way.
    pub way: Way,
    /// Seconds in each direction.
    pub seconds: u64,
}

/// Datagrams, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LossTest {
    /// Its way.
    pub way: Way,
    /// Seconds.
    pub seconds: u64,
}

/// MTU 9000.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JumboTest {
    /// Its way.
    pub way: Way,
}

/// A VLAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VlanTest {
    /// Its way.
    pub way: Way,
    /// The VLAN's number.
    pub id: u16,
}

impl From<SessionError> for TestError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotReached { .. } => Self::CannotRun(error.to_string()),
            other => Self::Trouble(other.to_string()),
        }
    }
}

fn file(interface: &str, name: &str) -> String {
    format!("/sys/class/net/{interface}/{name}")
}

fn number(system: &dyn System, interface: &str, name: &str) -> Option<u64> {
    read_text(system, &file(interface, name)).ok()?.parse().ok()
}

/// Mbit/s of a link, from now: an interface that was down when the plan was made told none.
fn link_speed(system: &dyn System, interface: &str) -> Option<u32> {
    let speed = number(system, interface, "speed")?;
    u32::try_from(speed).ok().filter(|&speed| speed > 0)
}

/// Mbit/s that TCP must reach: four fifths of the link. Beyond 10 Gbit/s one process is no fair measure of a card, so
/// 8 Gbit/s are asked of every faster one; without a known link speed, nothing is.
fn expected_mbit(speed: Option<u32>) -> Option<u32> {
    speed.map(|speed| (speed / 5 * 4).min(8000))
}

/// Mbit/s of datagrams that are sent to count them: a tenth of the link, so that no healthy link loses any. A link that
/// tells no speed may be one of 100 Mbit/s.
fn paced_mbit(speed: Option<u32>) -> u32 {
    (speed.unwrap_or(100) / 10).clamp(1, 200)
}

/// Brings it up where it is down, and waits for its link.
fn bring_up(bench: &mut Bench<'_>, interface: &str) -> Result<bool, TestError> {
    let flags = read_text(bench.system, &file(interface, "flags"))?;
    let up = crate::hex::parse(&flags).is_some_and(|flags| flags & IFF_UP != 0);
    if !up {
        bench.change(Change::Up {
            interface: interface.to_owned(),
        })?;
    }
    wait_for_link(bench, interface)
}

fn wait_for_link(bench: &mut Bench<'_>, interface: &str) -> Result<bool, TestError> {
    let start = Instant::now();
    while start.elapsed() < LINK {
        if number(bench.system, interface, "carrier") == Some(1) {
            return Ok(true);
        }
        bench.wait(Duration::from_millis(100))?;
    }
    Ok(false)
}

/// Looks for a link.
pub(super) fn link(bench: &mut Bench<'_>, test: &LinkTest) -> Result<Outcome, TestError> {
    let interface = &test.interface;
    let mut outcome = Outcome::new();
    if !bring_up(bench, interface)? {
        return Err(TestError::CannotRun(format!(
            "{interface} has no link after {} s; plug in a cable to test it",
            LINK.as_secs()
        )));
    }
    outcome.measured("link", "yes", "yes", file(interface, "carrier"));
    let speed = number(bench.system, interface, "speed")
        .map_or("not told".to_owned(), |speed| format!("{speed} Mbit/s"));
    outcome.measured("speed", speed, "", file(interface, "speed"));
    let duplex = read_text(bench.system, &file(interface, "duplex"));
    judge_duplex(&mut outcome, interface, duplex.ok().as_deref());
    Ok(outcome)
}

/// `full`, `half`, or `unknown` where the driver does not know, as those of virtual cards, also beside a speed that it does know
/// (Documentation/ABI/testing/sysfs-class-net). What is not known is not held against a card, and is not what was expected.
fn judge_duplex(outcome: &mut Outcome, interface: &str, told: Option<&str>) {
    let (observed, expected) = match told {
        Some(known @ ("full" | "half")) => (known.to_owned(), "full"),
        Some(other) => (format!("not known: its driver says `{other}`"), ""),
        None => ("not told".to_owned(), ""),
    };
    outcome.measured("duplex", observed, expected, file(interface, "duplex"));
    outcome.expect(told != Some("half"), || {
        format!("{interface} negotiated half duplex")
    });
}

/// The way to the peer, with the address that was asked for.
fn route(bench: &mut Bench<'_>, way: &Way) -> Result<Route, TestError> {
    if !bring_up(bench, &way.interface)? {
        return Err(TestError::CannotRun(format!(
            "{} has no link",
            way.interface
        )));
    }
    let interface = way.through();
    if let Some(address) = &way.peer.own_address {
        let show = ip(&["-oneline", "address", "show", "dev", interface]);
        let has = bench.system.run(&show)?;
        if !has.text().split_whitespace().any(|word| word == address) {
            bench.change(Change::Address {
                interface: interface.to_owned(),
                address: address.clone(),
            })?;
        }
    }
    let route = Route {
        interface: interface.to_owned(),
        peer: way.peer.address.clone(),
    };
    if is_own(bench.system, route.address()?.ip())? {
        return Err(TestError::CannotRun(format!(
            "{} is an address of this machine, so nothing would go through {}; run `hcl-checker peer` on another machine, or in \
             a network namespace of its own (ip netns exec NAME hcl-checker peer)",
            route.peer, way.interface
        )));
    }
    Ok(route)
}

/// Whether this machine has an address: what goes there never leaves it, whatever interface a connection is bound to.
fn is_own(system: &dyn System, address: IpAddr) -> Result<bool, TestError> {
    let address = address.to_canonical();
    // What is sent to no certain address stays here, too.
    if address.is_unspecified() {
        return Ok(true);
    }
    // The kernel's own word, by all of its tables. 2: it knows no way there, so it has no such address.
    let ask = ip(&["-oneline", "route", "get", &address.to_string()]).also_good(&[2]);
    Ok(system.run(&ask)?.text().starts_with("local "))
}

/// Errors that the interface counts: `Documentation/ABI/testing/sysfs-class-net-statistics`.
fn errors(system: &dyn System, interface: &str) -> u64 {
    let counters = ["rx_errors", "tx_errors", "rx_crc_errors"];
    let counts = counters.map(|name| number(system, interface, &format!("statistics/{name}")));
    counts.into_iter().flatten().sum()
}

/// Sends and receives as fast as it goes.
pub(super) fn throughput(
    bench: &mut Bench<'_>,
    test: &ThroughputTest,
) -> Result<Outcome, TestError> {
    let interface = &test.way.interface;
    let route = route(bench, &test.way)?;
    let session = Session::open(&route)?;
    let least = expected_mbit(link_speed(bench.system, interface));
    let before = errors(bench.system, interface);
    let bytes = ByteCount::read(bench.system, interface)?;
    let time = duration(test.seconds);
    let stop = bench.stop.clone();
    let mut outcome = Outcome::new();

    let start = Instant::now();
    let up = session.upload(&|| !stop.is_asked() && start.elapsed() < time)?;
    let sending = start.elapsed();
    bench.go_on()?;
    bench.progress(1, 2);
    let start = Instant::now();
    let down = session.download(time, &|| !stop.is_asked())?;
    let receiving = start.elapsed();
    bench.go_on()?;

    let expected = match least {
        Some(mbit) => format!("{mbit} Mbit/s at least"),
        None => String::new(),
    };
    let source = test.way.source("TCP");
    for (name, time) in [(SEND_TIME, sending), (RECEIVE_TIME, receiving)] {
        outcome.measured(name, amount::seconds(time), "", &source);
    }
    for (name, carried) in [("sent", up), ("received", down)] {
        let mbit = carried.mbit();
        outcome.measured(name, format!("{mbit} Mbit/s"), &expected, &source);
        outcome.expect(carried.bytes > 0, || format!("nothing was {name}"));
        if let Some(least) = least {
            outcome.expect(mbit >= u64::from(least), || {
                format!("{name} {mbit} Mbit/s, which is less than {least}")
            });
        }
    }
    bytes.expect_carried(bench, interface, (up.bytes, down.bytes), &mut outcome)?;
    let new = errors(bench.system, interface).saturating_sub(before);
    outcome.measured(
        "errors of the interface",
        new.to_string(),
        "0",
        file(interface, "statistics"),
    );
    outcome.expect(new == 0, || format!("{interface} counted {new} errors"));
    Ok(outcome)
}

/// Sends datagrams at a rate that the link carries with ease, and counts them.
pub(super) fn loss(bench: &mut Bench<'_>, test: &LossTest) -> Result<Outcome, TestError> {
    let route = route(bench, &test.way)?;
    let mut session = Session::open(&route)?;
    let mbit = paced_mbit(link_speed(bench.system, &test.way.interface));
    let bytes = ByteCount::read(bench.system, &test.way.interface)?;
    let per_second = u64::from(mbit) * 1_000_000 / 8 / DATAGRAM as u64;
    let count = per_second.max(1) * test.seconds.max(1);
    let stop = bench.stop.clone();
    let start = Instant::now();
    // Until it asks for the last time: after that it waits for what is lost.
    let sending = Mutex::new(Duration::ZERO);
    let goes_on = || {
        *sending.lock().unwrap_or_else(PoisonError::into_inner) = start.elapsed();
        !stop.is_asked()
    };
    let counted = session.datagrams(count, DATAGRAM, per_second.max(1), &goes_on)?;
    let sending = sending.into_inner().unwrap_or_else(PoisonError::into_inner);
    bench.go_on()?;
    let source = test.way.source("UDP");
    let mut outcome = Outcome::new();
    outcome.measured(SEND_TIME, amount::seconds(sending), "", &source);
    judge_loss(&mut outcome, counted, &source);
    let carried = carried(counted, DATAGRAM);
    bytes.expect_carried(bench, &test.way.interface, carried, &mut outcome)?;
    Ok(outcome)
}

/// Bytes of datagrams of one size that are known to have left and to have come back.
fn carried(counted: Counted, size: usize) -> (u64, u64) {
    let size = size as u64;
    (counted.arrived * size, counted.returned * size)
}

fn judge_loss(outcome: &mut Outcome, counted: Counted, source: &str) {
    let Counted {
        sent,
        arrived,
        returned,
        late,
    } = counted;
    let allowed = sent / LOSS;
    let lost_out = sent.saturating_sub(arrived);
    let lost_back = arrived.saturating_sub(returned);
    outcome.measured("datagrams sent", sent.to_string(), "", source);
    for (name, lost) in [
        ("lost on the way out", lost_out),
        ("lost on the way back", lost_back),
    ] {
        outcome.measured(name, lost.to_string(), format!("{allowed} at most"), source);
        outcome.expect(lost <= allowed, || {
            format!("{lost} of {sent} datagrams were {name}")
        });
    }
    outcome.measured("out of order", late.to_string(), "", source);
    outcome.expect(sent > 0, || "no datagram was sent".to_owned());
}

/// Sends frames of 9000 bytes both ways, none of them in pieces.
pub(super) fn jumbo(bench: &mut Bench<'_>, test: &JumboTest) -> Result<Outcome, TestError> {
    let route = route(bench, &test.way)?;
    let mut outcome = Outcome::new();
    let mut session = Session::open(&route)?;
    match session.mtu(JUMBO_MTU) {
        Ok(()) => {}
        Err(SessionError::Refused(reason)) => {
            return Err(TestError::CannotRun(format!(
                "the peer did not take MTU {JUMBO_MTU}: {reason}"
            )));
        }
        Err(error) => return Err(error.into()),
    }
    // A bridge after its port: it may be no larger.
    for interface in [Some(&test.way.interface), test.way.bridge.as_ref()] {
        let Some(interface) = interface else { continue };
        if let Err(reason) = raise_mtu(bench, interface)? {
            outcome.fail(reason);
            return Ok(outcome);
        }
        outcome.measured(
            "MTU",
            JUMBO_MTU.to_string(),
            JUMBO_MTU.to_string(),
            file(interface, "mtu"),
        );
    }
    let headers = if session.is_v6() {
        IPV6_AND_UDP
    } else {
        IPV4_AND_UDP
    };
    let size = JUMBO_MTU as usize - headers;
    let before = fragments(bench.system, session.is_v6())?;
    // Some drivers count anew after another MTU.
    let bytes = ByteCount::read(bench.system, &test.way.interface)?;
    let stop = bench.stop.clone();
    let counted = session.datagrams(100, size, 100, &|| !stop.is_asked())?;
    bench.go_on()?;
    let source = test.way.source(&format!("UDP of {size} bytes"));
    judge_loss(&mut outcome, counted, &source);
    let carried = carried(counted, size);
    bytes.expect_carried(bench, &test.way.interface, carried, &mut outcome)?;
    let pieces = fragments(bench.system, session.is_v6())?.saturating_sub(before);
    outcome.measured(
        "datagrams in pieces",
        pieces.to_string(),
        "0",
        "/proc/net/snmp",
    );
    outcome.expect(pieces == 0, || {
        format!("{pieces} datagrams were split, so the frames were smaller than {JUMBO_MTU} bytes")
    });
    Ok(outcome)
}

/// Gives an interface MTU 9000. The reason, where it does not take that.
fn raise_mtu(bench: &mut Bench<'_>, interface: &str) -> Result<Result<(), String>, TestError> {
    let mtu = number(bench.system, interface, "mtu").and_then(|mtu| u32::try_from(mtu).ok());
    let Some(from) = mtu else {
        return Err(TestError::Trouble(format!("{interface} tells no MTU")));
    };
    if from == JUMBO_MTU {
        return Ok(Ok(()));
    }
    let change = bench.change(Change::Mtu {
        interface: interface.to_owned(),
        from,
        to: JUMBO_MTU,
    });
    match change {
        Ok(()) => {}
        Err(TestError::Trouble(reason)) => {
            return Ok(Err(format!(
                "{interface} does not take MTU {JUMBO_MTU}: {reason}"
            )));
        }
        Err(other) => return Err(other),
    }
    // Some drivers set the port up anew.
    wait_for_link(bench, interface)?;
    Ok(Ok(()))
}

/// Sends through a VLAN that exists for this test only.
pub(super) fn vlan(bench: &mut Bench<'_>, test: &VlanTest) -> Result<Outcome, TestError> {
    let route_below = route(bench, &test.way)?;
    let mut control = Session::open(&route_below)?;
    match control.vlan(test.id) {
        Ok(()) => {}
        Err(SessionError::Refused(reason)) => {
            return Err(TestError::CannotRun(format!(
                "the peer made no VLAN {}: {reason}",
                test.id
            )));
        }
        Err(error) => return Err(error.into()),
    }
    let name = format!("hclv{}", test.id);
    make_vlan(bench, test, &name)?;
    bench.change(Change::Address {
        interface: name.clone(),
        address: TEST_ADDRESS.to_owned(),
    })?;
    bench.change(Change::Up {
        interface: name.clone(),
    })?;
    wait_for_link(bench, &name)?;
    let host = PEER_ADDRESS.split('/').next().unwrap_or_default();
    let route = Route {
        interface: name.clone(),
        peer: format!("{host}:{}", control.port()),
    };
    let mut outcome = Outcome::new();
    let source = format!("UDP to {} through {name}", route.peer);
    let stop = bench.stop.clone();
    let bytes = ByteCount::read(bench.system, &test.way.interface)?;
    // Below it is reached, so what does not come through here is lost in the VLAN.
    let counted = match Session::open(&route) {
        Ok(mut session) => session.datagrams(1000, DATAGRAM, 1000, &|| !stop.is_asked())?,
        Err(SessionError::NotReached { source, .. }) => {
            outcome.fail(format!(
                "VLAN {} does not reach the peer ({source}); does every switch between let it through?",
                test.id
            ));
            return Ok(outcome);
        }
        Err(error) => return Err(error.into()),
    };
    bench.go_on()?;
    judge_loss(&mut outcome, counted, &source);
    let carried = carried(counted, DATAGRAM);
    bytes.expect_carried(bench, &test.way.interface, carried, &mut outcome)?;
    Ok(outcome)
}

fn make_vlan(bench: &mut Bench<'_>, test: &VlanTest, name: &str) -> Result<(), TestError> {
    let change = Change::Vlan {
        parent: test.way.through().to_owned(),
        name: name.to_owned(),
        id: test.id,
    };
    match bench.change(change) {
        Err(TestError::Trouble(text)) if knows_no_vlans(&text) => {
            Err(TestError::CannotRun(format!("here {NO_VLANS}")))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
