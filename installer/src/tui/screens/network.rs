//! How the host is reached.

use super::super::app::App;
use super::super::draft::DraftProblem;
use super::super::effects::Job;
use super::super::field::Field;
use super::super::key::Key;
use super::super::network_draft::{BONDS, FIXED4, FIXED6, IPV4, IPV6};
use super::super::page::Page;
use hcl_checker::Known;
use hcl_checker::facts::{Nic, NicKind, natural};

/// What F1 says.
pub const HELP: &str = "The management network: the host's address, and the bridge xenbr0 for virtual machines.\n\nSpace takes \
an interface. Without one, the first with a link is taken; several make a bond. active-backup needs nothing of the switch; \
LACP needs a link aggregation group there. Links are looked at every second: pull a cable to see which one it is.\n\nTest sets \
the network of this installer up as the host's will be, and says what comes of it.";

/// What can have the focus.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Nic(usize),
    Bond,
    Vlan,
    Mtu,
    Ipv4,
    Address,
    Gateway,
    Ipv6,
    Address6,
    Gateway6,
    Dns,
    Search,
    Ntp,
    Test,
    Continue,
}

/// The wired interfaces in the order of their names.
fn nics(app: &App) -> Vec<&Nic> {
    let nics = app.facts().and_then(|facts| facts.nics.value());
    let mut wired: Vec<&Nic> = nics
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter(|nic| nic.kind == Known::Value(NicKind::Ethernet))
        .collect();
    wired.sort_by_cached_key(|nic| natural(&nic.name));
    wired
}

fn items(app: &App) -> Vec<Item> {
    let draft = &app.draft.network;
    let mut items: Vec<Item> = (0..nics(app).len()).map(Item::Nic).collect();
    if draft.interfaces.len() > 1 {
        items.push(Item::Bond);
    }
    items.push(Item::Ipv4);
    if draft.ipv4 == FIXED4 {
        items.extend([Item::Address, Item::Gateway]);
    }
    items.push(Item::Ipv6);
    if draft.ipv6 == FIXED6 {
        items.extend([Item::Address6, Item::Gateway6]);
    }
    items.extend([
        Item::Vlan,
        Item::Mtu,
        Item::Dns,
        Item::Search,
        Item::Ntp,
        Item::Test,
        Item::Continue,
    ]);
    items
}

fn here(app: &App) -> Item {
    let items = items(app);
    items[app.focus().min(items.len() - 1)]
}

/// The field that has the focus.
pub fn field(app: &mut App) -> Option<&mut Field> {
    let item = here(app);
    let draft = &mut app.draft.network;
    Some(match item {
        Item::Vlan => &mut draft.vlan,
        Item::Mtu => &mut draft.mtu,
        Item::Address => &mut draft.address,
        Item::Gateway => &mut draft.gateway,
        Item::Address6 => &mut draft.address6,
        Item::Gateway6 => &mut draft.gateway6,
        Item::Dns => &mut draft.dns,
        Item::Search => &mut draft.search,
        Item::Ntp => &mut draft.ntp,
        _ => return None,
    })
}

/// Takes a key.
pub fn key(app: &mut App, key: Key, jobs: &mut Vec<Job>) {
    let item = here(app);
    let count = items(app).len();
    let turn = |value: &mut usize, options: usize| {
        *value = match key {
            Key::Left => (*value + options - 1) % options,
            _ => (*value + 1) % options,
        };
    };
    match (item, key) {
        (_, Key::Esc) => app.back(),
        (Item::Nic(index), Key::Char(' ')) => {
            let name = nics(app)[index].name.clone();
            let chosen = &mut app.draft.network.interfaces;
            match chosen.iter().position(|other| *other == name) {
                Some(at) => {
                    chosen.remove(at);
                }
                None => chosen.push(name),
            }
        }
        (Item::Bond, Key::Left | Key::Right | Key::Char(' ')) => {
            turn(&mut app.draft.network.bond, BONDS.len());
        }
        (Item::Ipv4, Key::Left | Key::Right | Key::Char(' ')) => {
            turn(&mut app.draft.network.ipv4, IPV4.len());
        }
        (Item::Ipv6, Key::Left | Key::Right | Key::Char(' ')) => {
            turn(&mut app.draft.network.ipv6, IPV6.len());
        }
        (Item::Test, Key::Enter | Key::Char(' ')) => test(app, jobs),
        (Item::Continue, Key::Enter) => app.next(),
        (_, Key::Enter) => {
            app.move_focus(Key::Down, count);
        }
        _ => {
            if field(app).is_some_and(|field| field.key(key)) {
                return;
            }
            app.move_focus(key, count);
        }
    }
}

fn test(app: &mut App, jobs: &mut Vec<Job>) {
    if app.marks.testing {
        return;
    }
    let mut problems: Vec<DraftProblem> = Vec::new();
    match app.draft.network.choice(&mut problems) {
        Some(choice) => {
            app.marks.testing = true;
            app.marks.tested = None;
            jobs.push(Job::TestNetwork(Box::new(choice)));
        }
        None => app.message = problems.into_iter().next().map(|problem| problem.message),
    }
}

fn nic_line(app: &App, nic: &Nic, glyphs: &super::super::theme::Glyphs) -> String {
    let mark = if app.draft.network.interfaces.contains(&nic.name) {
        glyphs.box_on
    } else {
        glyphs.box_off
    };
    let now = app.links.iter().find(|link| link.name == nic.name);
    let up = now.map_or(nic.carrier.value().copied(), |link| Some(link.up));
    let speed = now
        .and_then(|link| link.speed_mbit)
        .or(nic.speed_mbit.value().copied());
    let link = match (up, speed) {
        (Some(true), Some(speed)) if speed >= 1000 && speed % 1000 == 0 => {
            format!("link {} Gbit/s", speed / 1000)
        }
        (Some(true), Some(speed)) => format!("link {speed} Mbit/s"),
        (Some(true), None) => "link".to_owned(),
        (Some(false), _) => "no link".to_owned(),
        (None, _) => "link not known".to_owned(),
    };
    let addresses = now.map_or(String::new(), |link| link.addresses.join(" "));
    format!(
        "{mark} {:<10} {:<17}  {:<8} {link:<14} {addresses}",
        nic.name,
        nic.mac.value().map_or("", String::as_str),
        nic.driver.value().map_or("", String::as_str),
    )
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    let draft = &app.draft.network;
    let item = here(app);
    page.heading(match draft.interfaces.len() {
        0 => "Management network: on the first interface with a link",
        1 => "Management network: on the interface that is marked",
        _ => "Management network: on a bond of the interfaces that are marked",
    });
    let nics = nics(app);
    if nics.is_empty() {
        page.problem("This machine has no wired network interface that the kernel knows.");
    }
    let glyphs = page.theme.glyphs;
    let lines: Vec<String> = nics.iter().map(|nic| nic_line(app, nic, glyphs)).collect();
    let selected = match item {
        Item::Nic(index) => Some(index),
        _ => None,
    };
    let rows = items(app).len() - nics.len();
    let results = app
        .marks
        .tested
        .as_ref()
        .map_or(1, |checks| checks.len().max(1));
    let spare = page.left().saturating_sub((rows + results) as u16).max(2);
    page.list(&lines, selected, spare.min(nics.len() as u16));
    if draft.interfaces.len() > 1 {
        page.choice("Bond", &BONDS, draft.bond, item == Item::Bond);
    }
    page.choice("IPv4", &IPV4, draft.ipv4, item == Item::Ipv4);
    if draft.ipv4 == FIXED4 {
        page.field(
            "  Address",
            &draft.address,
            item == Item::Address,
            "192.0.2.10/24",
        );
        page.field(
            "  Router",
            &draft.gateway,
            item == Item::Gateway,
            "192.0.2.1, or nothing",
        );
    }
    page.choice("IPv6", &IPV6, draft.ipv6, item == Item::Ipv6);
    if draft.ipv6 == FIXED6 {
        page.field(
            "  Address",
            &draft.address6,
            item == Item::Address6,
            "2001:db8::10/64",
        );
        page.field(
            "  Router",
            &draft.gateway6,
            item == Item::Gateway6,
            "fe80::1, or nothing",
        );
    }
    page.field("VLAN", &draft.vlan, item == Item::Vlan, "none");
    page.field("MTU", &draft.mtu, item == Item::Mtu, "the driver's own");
    page.field(
        "Name servers",
        &draft.dns,
        item == Item::Dns,
        "those of DHCP",
    );
    page.field(
        "Search domains",
        &draft.search,
        item == Item::Search,
        "none",
    );
    page.field(
        "Time servers",
        &draft.ntp,
        item == Item::Ntp,
        "those of DHCP, or Debian's",
    );
    page.button("Test", item == Item::Test);
    page.button("Continue", item == Item::Continue);
    if app.marks.testing {
        page.text("The network is being tried; this can take 30 seconds ...");
    }
    for check in app.marks.tested.iter().flatten() {
        let text = format!("{}: {}", check.what, check.found);
        if check.good {
            page.text(&format!("{} {text}", glyphs.done));
        } else {
            page.problem(&text);
        }
    }
}
