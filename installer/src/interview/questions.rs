//! The questions, in their order.

use super::prompt::{Prompt, PromptError};
use crate::choices::{
    AddressChoice, After, Choices, DiskChoice, HclPolicy, InterfaceChoice, NetworkChoice,
    StaticAddress, SystemChoice,
};
use crate::plan::{Plan, PlanProblems, holds_bedplate};
use crate::selector::DiskSelector;
use crate::values::{
    Cidr, Hostname, PasswordHash, SshKey, Timezone, ValueError, Zones, check_gateway,
    check_name_server, show_size,
};
use hcl_checker::Known;
use hcl_checker::facts::{Disk, Facts, Nic, NicKind};
use steps::system::{Command, System};

/// The word that consents to losing a disk's content. Typed whole, so that no habit types it.
const CONSENT: &str = "WIPE";

/// What came of the interview.
#[derive(Debug)]
pub enum Asked {
    /// A plan that the operator agreed to.
    Install(Box<Plan>),
    /// The operator does not want to install.
    Declined,
}

/// Asks until there is a plan that the operator agrees to. `build` makes a plan of choices.
pub fn ask(
    prompt: &mut dyn Prompt,
    facts: &Facts,
    zones: &Zones,
    system: &dyn System,
    build: &dyn Fn(&Choices) -> Result<Plan, PlanProblems>,
) -> Result<Asked, PromptError> {
    prompt.say("\nNo answers were found, so here are the questions. Nothing is written before you agree to the plan.")?;
    loop {
        let mut choices = Choices {
            disk: DiskChoice {
                select: disk(prompt, facts)?,
                wipe: false,
                reinstall: false,
            },
            system: system_choice(prompt, zones, system)?,
            network: network(prompt, facts)?,
            hcl: HclPolicy::Refuse,
            on_success: After::Reboot,
            on_failure: After::Shell,
        };
        let Some(plan) = planned(prompt, &mut choices, build)? else {
            continue;
        };
        prompt.say(&format!("\nThe plan:\n\n{}", plan.describe()))?;
        let path = &plan.disk.identity.path;
        let (question, word) = match plan.disk.wipe {
            true => (
                format!(
                    "Everything on {path} will be lost. Type {CONSENT} to agree, anything else to go back:"
                ),
                CONSENT,
            ),
            false => (
                "Type yes to install, anything else to go back:".to_owned(),
                "yes",
            ),
        };
        if prompt.line(&question)? == word {
            return Ok(Asked::Install(Box::new(plan)));
        }
        if prompt.line("Type quit to leave without installing, or nothing to answer again:")?
            == "quit"
        {
            return Ok(Asked::Declined);
        }
    }
}

/// The plan, with consent to wipe exactly where it is needed; none when there is no plan, after saying why.
///
/// Consent is asked for with the plan in sight. Whether it is needed, the attempt without it says.
fn planned(
    prompt: &mut dyn Prompt,
    choices: &mut Choices,
    build: &dyn Fn(&Choices) -> Result<Plan, PlanProblems>,
) -> Result<Option<Plan>, PromptError> {
    loop {
        for wipe in [false, true] {
            choices.disk.wipe = wipe;
            // Whoever sits here reads what is lost and types the word for it.
            choices.disk.reinstall = wipe;
            if let Ok(plan) = build(choices) {
                return Ok(Some(plan));
            }
        }
        let Err(problems) = build(choices) else {
            continue;
        };
        prompt.say(&format!("\n{problems}"))?;
        if !problems.only_verdict() {
            return Ok(None);
        }
        let reason = prompt.line(
            "To install all the same, type why (kept in the report), or nothing to go back:",
        )?;
        if reason.is_empty() || reason.contains(char::is_control) {
            return Ok(None);
        }
        choices.hcl = HclPolicy::Warn { reason };
    }
}

/// Asks for one of `count` numbered things.
fn number(prompt: &mut dyn Prompt, question: &str, count: usize) -> Result<usize, PromptError> {
    loop {
        match prompt
            .line(&format!("{question} [1-{count}]:"))?
            .parse::<usize>()
        {
            Ok(number) if (1..=count).contains(&number) => return Ok(number - 1),
            _ => prompt.say(&format!("Type a number from 1 to {count}."))?,
        }
    }
}

/// Asks until the text parses; nothing typed means `default` where there is one.
fn value<T>(
    prompt: &mut dyn Prompt,
    question: &str,
    default: Option<&str>,
    parse: impl Fn(&str) -> Result<T, ValueError>,
) -> Result<T, PromptError> {
    loop {
        let line = prompt.line(question)?;
        let text = if line.is_empty() {
            default.unwrap_or_default()
        } else {
            &line
        };
        match parse(text) {
            Ok(value) => return Ok(value),
            Err(error) => prompt.say(&format!("This {error}."))?,
        }
    }
}

fn disk(prompt: &mut dyn Prompt, facts: &Facts) -> Result<DiskSelector, PromptError> {
    let disks = facts.disks.value().map_or(&[][..], Vec::as_slice);
    let disks: Vec<&Disk> = disks
        .iter()
        .filter(|disk| disk.is_install_candidate())
        .collect();
    if disks.is_empty() {
        prompt.say(
            "This machine has no disk to install on that the kernel knows. Check its controller.",
        )?;
        prompt.line("Type anything to look again after the next start:")?;
        return Err(PromptError::Ended);
    }
    prompt.say("\nDisks:")?;
    for (index, disk) in disks.iter().enumerate() {
        prompt.say(&format!("  {}. {}", index + 1, disk_line(disk)))?;
    }
    let disk = disks[number(prompt, "Install on which disk?", disks.len())?];
    Ok(DiskSelector {
        path: Some(disk.path.clone()),
        ..DiskSelector::default()
    })
}

fn disk_line(disk: &Disk) -> String {
    let size = disk
        .size_bytes
        .value()
        .map_or("size not known".to_owned(), |size| show_size(*size));
    let text = |known: &Known<String>| known.value().cloned().unwrap_or_default();
    let holds = match disk.holds_data() {
        _ if holds_bedplate(disk) => "RUNS BEDPLATE",
        Known::Value(false) | Known::Absent => "empty",
        Known::Value(true) => "holds data",
        Known::Unknown(_) => "content not known",
    };
    let words = [
        disk.path.clone(),
        size,
        text(&disk.model),
        text(&disk.serial),
        holds.to_owned(),
    ];
    words
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

fn system_choice(
    prompt: &mut dyn Prompt,
    zones: &Zones,
    system: &dyn System,
) -> Result<SystemChoice, PromptError> {
    prompt.say("")?;
    let hostname = value(prompt, "Name of the host:", None, Hostname::parse)?;
    let timezone = value(prompt, "Time zone [Etc/UTC]:", Some("Etc/UTC"), |text| {
        Timezone::parse(text, zones)
    })?;
    let root_password = Some(password(prompt, system)?);
    let question = "Public ssh key for root, one line, or nothing:";
    let ssh_keys = value(prompt, question, None, |text| match text {
        "" => Ok(Vec::new()),
        key => SshKey::parse(key).map(|key| vec![key]),
    })?;
    Ok(SystemChoice {
        hostname: hostname.into(),
        root_password,
        ssh_keys,
        timezone,
    })
}

fn password(prompt: &mut dyn Prompt, system: &dyn System) -> Result<PasswordHash, PromptError> {
    loop {
        let first = prompt.secret("Password for root (not shown):")?;
        if first.chars().count() < 8 {
            prompt.say("A password needs 8 characters or more.")?;
            continue;
        }
        if prompt.secret("The same again:")? != first {
            prompt.say("The two are not the same.")?;
            continue;
        }
        let openssl = Command::new("openssl")
            .args(["passwd", "-6", "-stdin"])
            .secret_stdin(first + "\n");
        match PasswordHash::parse(&system.run(&openssl.secret_stdout())?.text()) {
            Ok(hash) => return Ok(hash),
            Err(error) => {
                prompt.say(&format!("What `openssl passwd` printed {}.", error.message))?
            }
        }
    }
}

fn network(prompt: &mut dyn Prompt, facts: &Facts) -> Result<NetworkChoice, PromptError> {
    let nics = facts.nics.value().map_or(&[][..], Vec::as_slice);
    let wired: Vec<&Nic> = nics
        .iter()
        .filter(|nic| nic.kind == Known::Value(NicKind::Ethernet))
        .collect();
    let interface = match wired.as_slice() {
        [] | [_] => InterfaceChoice::Auto,
        several => {
            prompt.say("\nNetwork interfaces:")?;
            for (index, nic) in several.iter().enumerate() {
                let mac = nic.mac.value().map_or("", String::as_str);
                let link = if nic.carrier == Known::Value(true) {
                    "link"
                } else {
                    "no link"
                };
                prompt.say(&format!("  {}. {}, {mac}, {link}", index + 1, nic.name))?;
            }
            InterfaceChoice::Name(
                several[number(prompt, "Which for management?", several.len())?]
                    .name
                    .clone(),
            )
        }
    };
    prompt.say("\nAddress:\n  1. from DHCP\n  2. fixed")?;
    if number(prompt, "Which?", 2)? == 0 {
        return Ok(NetworkChoice::simple(
            interface,
            AddressChoice::Dhcp,
            Vec::new(),
        ));
    }
    let address = value(
        prompt,
        "Address with prefix length, for example 192.0.2.10/24:",
        None,
        Cidr::parse,
    )?;
    let gateway = value(prompt, "Router, or nothing:", None, |text| match text {
        "" => Ok(None),
        text => check_gateway(text, Some(address)).map(Some),
    })?;
    let dns = value(
        prompt,
        "Name servers with spaces between, or nothing:",
        None,
        |text| {
            text.split_ascii_whitespace()
                .map(check_name_server)
                .collect()
        },
    )?;
    let address = AddressChoice::Static(StaticAddress { address, gateway });
    Ok(NetworkChoice::simple(interface, address, dns))
}
