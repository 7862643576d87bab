//! Networks made and taken away, VLANs, bonds, the address of the host.

use super::uuid_of;
use crate::XeError;
use crate::change::Change;
use crate::guest::libvirt;
use crate::labels;
use crate::local::{MANAGEMENT_BRIDGE, derived_uuid, host_uuid};
use crate::network_files::{self as files, BOND_MODES, File, Fixed};
use crate::record::Record;
use crate::selection::one;
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use steps::{Command, System};

const NETWORK: Arg = Arg::needed(
    "network-uuid",
    Kind::Of("network"),
    "the network that it goes to",
);

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "network-create",
        summary: "Makes a network for guests alone, a bridge; prints its uuid",
        args: &[
            Arg::needed("name-label", Kind::Text, "its name"),
            Arg::may("name-description", Kind::Text, "what it is for"),
            Arg::may(
                "bridge",
                Kind::Text,
                "the name of the bridge; the next free xenbrN if left out",
            ),
            Arg::may(
                "MTU",
                Kind::Number,
                "bytes of its largest packets; 1500 if left out",
            ),
        ],
        run: Run::Once(create),
    },
    Verb {
        name: "network-destroy",
        summary: "Takes away a network that network-create made, with its VLANs and bonds",
        args: &[],
        run: Run::Each("network", destroy),
    },
    Verb {
        name: "vlan-create",
        summary: "Connects a network with a VLAN on a physical interface; prints the uuid of the VLAN's interface",
        args: &[
            Arg::needed("pif-uuid", Kind::Of("pif"), "the physical interface"),
            Arg::needed("vlan", Kind::Number, "the number of the VLAN, 1 to 4094"),
            NETWORK,
        ],
        run: Run::Once(vlan_create),
    },
    Verb {
        name: "bond-create",
        summary: "Bonds physical interfaces that are not used, and connects a network with them",
        args: &[
            Arg::needed(
                "pif-uuids",
                Kind::Text,
                "the interfaces, with commas in between",
            ),
            NETWORK,
            Arg::may(
                "mode",
                Kind::OneOf(&BOND_MODES),
                "active-backup if left out; lacp wants a switch that speaks it",
            ),
        ],
        run: Run::Once(bond_create),
    },
    Verb {
        name: "pif-reconfigure-ip",
        summary: "Changes the address of the host on the network of a physical interface, at once",
        args: &[
            Arg::needed(
                "mode",
                Kind::OneOf(&["dhcp", "static"]),
                "where the address comes from",
            ),
            Arg::may("IP", Kind::Text, "the address, for static"),
            Arg::may("netmask", Kind::Text, "the netmask, for static"),
            Arg::may("gateway", Kind::Text, "the router"),
            Arg::may("DNS", Kind::Text, "name servers, with commas in between"),
        ],
        run: Run::Each("pif", reconfigure),
    },
];

fn write(system: &dyn System, all: &[File]) -> Result<(), XeError> {
    for (path, content) in all {
        if let Some(folder) = path.parent() {
            system
                .create_dir_all(folder)
                .map_err(|e| XeError::system(&e))?;
        }
        // networkd reads them as its own user.
        system
            .write_file(path, content.as_bytes(), 0o644)
            .map_err(|e| XeError::system(&e))?;
    }
    networkctl(system, &["reload"])
}

fn networkctl(system: &dyn System, args: &[&str]) -> Result<(), XeError> {
    system
        .run(&Command::new("networkctl").args(args.iter().copied()))
        .map(drop)
        .map_err(|e| XeError::system(&e))
}

fn exists(system: &dyn System, interface: &str) -> bool {
    system.exists(&Path::new("/sys/class/net").join(interface))
}

fn create(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let name = match asked.get("bridge") {
        Some(name) if !files::is_interface_name(name) => {
            return Err(XeError::usage(format!(
                "bridge={name} is no name for an interface: at most 15 letters, digits, dots, dashes"
            )));
        }
        Some(name) if exists(system, name) => {
            return Err(XeError::failure(
                "BRIDGE_NAME_EXISTS",
                "There is an interface of this name.",
            )
            .with("bridge", name));
        }
        Some(name) => name.to_owned(),
        None => files::free_bridge(|name| exists(system, name)),
    };
    write(system, &files::bridge(&name, asked.number("MTU")?))?;
    let uuid = derived_uuid(host_uuid(system), "network", &name).to_string();
    let mut said = vec![Change::Set(
        "name-label",
        asked.needed("name-label")?.to_owned(),
    )];
    if let Some(text) = asked.get("name-description") {
        said.push(Change::Set("name-description", text.to_owned()));
    }
    labels::change(system, &uuid, &said)?;
    Ok(Outcome::Made(uuid))
}

/// The files that `xe` made whose text says that they belong to the bridge, and what they make.
fn files_of(system: &dyn System, bridge: &str) -> Result<Vec<(PathBuf, String)>, XeError> {
    let folder = Path::new(files::FOLDER);
    let names = system.list_dir(folder).map_err(|e| XeError::system(&e))?;
    let mut found = Vec::new();
    let mut members = vec![bridge.to_owned()];
    // A VLAN or bond is known by the file that puts it into the bridge; its others go by its name.
    for name in names.iter().filter(|name| name.contains("-xe-")) {
        let text = short(system, &folder.join(name));
        if text.lines().any(|line| line == format!("Bridge={bridge}"))
            && let Some(member) = text.lines().find_map(|line| line.strip_prefix("Name="))
        {
            members.push(member.to_owned());
        }
    }
    for name in &names {
        let path = folder.join(name);
        if name.ends_with(".network.d") {
            for inner in system.list_dir(&path).unwrap_or_default() {
                if let Some(member) = members
                    .iter()
                    .find(|member| inner == format!("xe-{member}.conf"))
                {
                    found.push((path.join(&inner), member.clone()));
                }
            }
        } else if name.contains("-xe-") {
            let text = short(system, &path);
            let is_about = |member: &&String| {
                let lines = ["Name=", "Bond="].map(|key| format!("{key}{member}"));
                text.lines().any(|line| lines.iter().any(|own| own == line))
            };
            if let Some(member) = members.iter().find(is_about) {
                found.push((path, member.clone()));
            }
        }
    }
    Ok(found)
}

fn short(system: &dyn System, path: &Path) -> String {
    crate::local::short_text(system, path).unwrap_or_default()
}

fn destroy(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let bridge = record.text("bridge").unwrap_or_default();
    let found = files_of(system, &bridge)?;
    if !found
        .iter()
        .any(|(path, _)| path.ends_with(format!("10-xe-{bridge}.netdev")))
    {
        return Err(XeError::failure(
            "NETWORK_NOT_REMOVABLE",
            "This network belongs to the installation and stays.",
        )
        .with("network", uuid_of(record)?));
    }
    let user = libvirt::domains(system)?.into_iter().find(|domain| {
        domain
            .nics()
            .iter()
            .any(|nic| nic.bridge.as_deref() == Some(bridge.as_str()))
    });
    if let Some(domain) = user {
        return Err(XeError::failure(
            "NETWORK_CONTAINS_VIF",
            "A virtual machine has an interface on this network; take it away first (vif-destroy).",
        )
        .with("vm", domain.uuid())
        .with("name-label", domain.name()));
    }
    for (path, _) in &found {
        system.remove_file(path).map_err(|e| XeError::system(&e))?;
    }
    networkctl(system, &["reload"])?;
    let mut members: Vec<_> = found.into_iter().map(|(_, member)| member).collect();
    members.sort();
    members.dedup();
    for member in members.iter().filter(|member| exists(system, member)) {
        networkctl(system, &["delete", member])?;
    }
    let clear = ["name-label", "name-description", "other-config", "tags"].map(Change::Clear);
    labels::change(system, &uuid_of(record)?, &clear)?;
    Ok(Outcome::Done)
}

/// The bridge of the network that the argument names. Nothing is put below the one that management uses.
fn target(asked: &Asked<'_>) -> Result<String, XeError> {
    let bridge = super::vm_install::bridge(asked, asked.needed("network-uuid")?)?;
    match bridge == MANAGEMENT_BRIDGE {
        true => Err(XeError::failure(
            "PIF_IS_MANAGEMENT_INTERFACE",
            "This is the management network, whose interfaces the installation chose; make another by network-create.",
        )
        .with("bridge", bridge)),
        false => Ok(bridge),
    }
}

/// The file of /etc that configures an interface, as networkd says.
fn file_of(system: &dyn System, device: &str) -> Option<PathBuf> {
    let command = Command::new("networkctl").args(["--json=short", "status", device]);
    let output = system.run(&command).ok()?;
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let path = PathBuf::from(status["NetworkFile"].as_str()?);
    path.starts_with(files::FOLDER).then_some(path)
}

fn vlan_create(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let pif = one("pif", asked.needed("pif-uuid")?, asked.around)?;
    let (device, mac) = (
        pif.text("device").unwrap_or_default(),
        pif.text("MAC").unwrap_or_default(),
    );
    let id = asked
        .number("vlan")?
        .filter(|id| *id < 4095)
        .ok_or_else(|| {
            XeError::failure("VLAN_TAG_INVALID", "The number of a VLAN is 1 to 4094.")
        })?;
    let bridge = target(asked)?;
    let name = files::vlan_name(&device, id);
    if exists(system, &name) {
        return Err(
            XeError::failure("PIF_VLAN_EXISTS", "This VLAN is on this interface already.")
                .with("device", name),
        );
    }
    let parent = file_of(system, &device);
    write(
        system,
        &files::vlan(&device, &mac, parent.as_deref(), id, &bridge),
    )?;
    Ok(Outcome::Made(
        derived_uuid(host_uuid(system), "pif", &name).to_string(),
    ))
}

fn bond_create(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let bridge = target(asked)?;
    let mut macs = Vec::new();
    for name in asked.needed("pif-uuids")?.split(',') {
        let pif = one("pif", name.trim(), asked.around)?;
        let device = pif.text("device").unwrap_or_default();
        if pif.text("currently-attached").as_deref() == Some("true")
            || file_of(system, &device).is_some()
        {
            return Err(XeError::failure(
                "PIF_ALREADY_BONDED",
                "The interface is in use; a bond takes interfaces that are not.",
            )
            .with("device", device));
        }
        macs.push(pif.text("MAC").unwrap_or_default());
    }
    macs.sort();
    macs.dedup();
    if macs.len() < 2 {
        return Err(XeError::failure(
            "PIF_BOND_NEEDS_MORE_MEMBERS",
            "A bond has two interfaces or more.",
        ));
    }
    let name = (0_u32..)
        .map(|n| format!("bond{n}"))
        .find(|name| !exists(system, name))
        .unwrap_or_default();
    let mode = asked.get("mode").unwrap_or(BOND_MODES[0]);
    write(system, &files::bond(&name, &macs, mode, &bridge))?;
    Ok(Outcome::Made(
        derived_uuid(host_uuid(system), "pif", &name).to_string(),
    ))
}

/// The address that the arguments say.
fn fixed(asked: &Asked<'_>) -> Result<Fixed, XeError> {
    let wrong = |name: &'static str, why: &str| {
        XeError::failure("INVALID_IP_ADDRESS_SPECIFIED", format!("{name}= {why}."))
            .with("parameter", name)
    };
    let ip: Ipv4Addr = asked
        .needed("IP")?
        .parse()
        .map_err(|_| wrong("IP", "is no IPv4 address"))?;
    let length = files::prefix_length(asked.needed("netmask")?)
        .ok_or_else(|| wrong("netmask", "is no netmask, as 255.255.255.0 is"))?;
    let gateway = match asked.get("gateway").filter(|text| !text.is_empty()) {
        Some(text) => Some(
            text.parse::<Ipv4Addr>()
                .map_err(|_| wrong("gateway", "is no IPv4 address"))?,
        ),
        None => None,
    };
    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
    let elsewhere = gateway.is_some_and(|gateway| (u32::from(gateway) ^ u32::from(ip)) & mask != 0);
    // Who is alone in a network has the router outside of it, as hosters give addresses.
    if elsewhere && length < 32 {
        return Err(wrong("gateway", "is not in the network of the address"));
    }
    if gateway == Some(ip) {
        return Err(wrong("gateway", "is the address of the host itself"));
    }
    let dns = asked.get("DNS").unwrap_or_default();
    let dns = dns
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| {
            text.parse::<IpAddr>()
                .map(|ip| ip.to_string())
                .map_err(|_| wrong("DNS", "is no list of addresses"))
        })
        .collect::<Result<_, _>>()?;
    Ok(Fixed {
        address: format!("{ip}/{length}"),
        gateway: gateway.map(|ip| ip.to_string()),
        elsewhere,
        dns,
    })
}

fn reconfigure(asked: &Asked<'_>, record: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    let network = record.text("network-uuid").unwrap_or_default();
    let fixed = match asked.needed("mode")? {
        "static" => Some(fixed(asked)?),
        _ => None,
    };
    if network.is_empty() {
        return Err(XeError::failure(
            "PIF_NOT_ATTACHED",
            "The interface is in no network; the host has its address on one.",
        )
        .with("pif", uuid_of(record)?));
    }
    let bridge = one("network", &network, asked.around)?
        .text("bridge")
        .unwrap_or_default();
    let path = file_of(system, &bridge).ok_or_else(|| {
        XeError::failure(
            "INTERNAL_ERROR",
            format!("networkd names no file of {} for {bridge}", files::FOLDER),
        )
    })?;
    let text = crate::local::short_text(system, &path).ok_or_else(|| {
        XeError::failure(
            "INTERNAL_ERROR",
            format!("{} cannot be read", path.display()),
        )
    })?;
    let first_metric = (bridge != MANAGEMENT_BRIDGE).then_some(files::LAST_METRIC);
    let text = files::readdress(&text, fixed.as_ref(), first_metric);
    write(system, &[(path, text)])?;
    networkctl(system, &["reconfigure", &bridge])?;
    Ok(Outcome::Done)
}
