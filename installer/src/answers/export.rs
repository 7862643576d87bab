//! Choices as an answer file: what an operator chose at the console, to install again without questions.

use crate::choices::{
    AddressChoice, After, BondMode, BootChoice, BridgeChoice, Choices, DiskChoice, HclPolicy,
    HookChoice, HookProgram, InterfaceChoice, Ipv6Choice, NetworkChoice, SourceChoice,
    StorageChoice, SystemChoice, UplinkChoice, WebhookChoice,
};
use crate::selector::DiskSelector;
use toml::{Table, Value};

/// The choices as the text of an answer file, which reads back as the same choices. It holds the hash of root's
/// password, and the license.
pub fn to_toml(choices: &Choices) -> Result<String, toml::ser::Error> {
    let Choices {
        disk,
        storage,
        system,
        boot,
        network,
        hcl,
        license,
        webhook,
        source,
        hooks,
        expect_plan,
        on_success,
        on_failure,
    } = choices;
    let mut file = Table::new();
    file.insert("schema".into(), Value::Integer(1));
    file.insert("on_success".into(), after(*on_success));
    file.insert("on_failure".into(), after(*on_failure));
    file.insert("disk".into(), Value::Table(disk_table(disk)));
    if !storage.is_empty() {
        let list = storage
            .iter()
            .map(|storage| Value::Table(storage_table(storage)));
        file.insert("storage".into(), Value::Array(list.collect()));
    }
    if let Some(system) = system {
        file.insert("system".into(), Value::Table(system_table(system)));
    }
    let boot = boot_table(boot);
    if !boot.is_empty() {
        file.insert("boot".into(), Value::Table(boot));
    }
    file.insert("network".into(), Value::Table(network_table(network)));
    let overridden = match hcl {
        HclPolicy::Refuse => None,
        HclPolicy::Warn { reason } => Some(("warn", reason)),
        HclPolicy::Allow { reason } => Some(("allow", reason)),
    };
    if let Some((policy, reason)) = overridden {
        let mut hcl = Table::new();
        put(&mut hcl, "policy", policy);
        put(&mut hcl, "reason", reason);
        file.insert("hcl".into(), Value::Table(hcl));
    }
    if let Some(token) = license {
        let mut license = Table::new();
        put(&mut license, "token", token.expose());
        file.insert("license".into(), Value::Table(license));
    }
    if let Some(hash) = expect_plan {
        put(&mut file, "expect_plan", hash.as_str());
    }
    if let Some(webhook) = webhook {
        file.insert("webhook".into(), Value::Table(webhook_table(webhook)));
    }
    if let Some(SourceChoice { url, pin }) = source {
        let mut table = Table::new();
        put(&mut table, "url", url.expose());
        if let Some(pin) = pin {
            put(&mut table, "pin", pin.to_string());
        }
        file.insert("source".into(), Value::Table(table));
    }
    let hooks: Vec<Value> = hooks
        .iter()
        .map(|hook| Value::Table(hook_table(hook)))
        .collect();
    if !hooks.is_empty() {
        file.insert("hook".into(), Value::Array(hooks));
    }
    let mut text = String::from(
        "# Choices made at the console of the Bedplate installer. docs/answers.md explains every key.\n",
    );
    if disk.wipe || storage.iter().any(|storage| storage.wipe) {
        text.push_str("# `wipe = true` is consent: whatever is on that disk then is lost without a question.\n");
    }
    text.push_str(&toml::to_string(&file)?);
    Ok(text)
}

fn put(table: &mut Table, key: &str, text: impl Into<String>) {
    table.insert(key.into(), Value::String(text.into()));
}

fn put_list<T: ToString>(table: &mut Table, key: &str, list: &[T]) {
    if !list.is_empty() {
        let list = list.iter().map(|item| Value::String(item.to_string()));
        table.insert(key.into(), Value::Array(list.collect()));
    }
}

fn after(after: After) -> Value {
    Value::String(after.to_string())
}

fn disk_table(disk: &DiskChoice) -> Table {
    let DiskChoice {
        select,
        fallbacks,
        state_size,
        storage,
        mirror,
        second,
        wipe,
        reinstall,
        upgrade,
        keep_storage,
    } = disk;
    let mut table = Table::new();
    for (key, flag) in [
        ("mirror", mirror),
        ("wipe", wipe),
        ("reinstall", reinstall),
        ("upgrade", upgrade),
        ("keep_storage", keep_storage),
    ] {
        if *flag {
            table.insert(key.into(), Value::Boolean(true));
        }
    }
    if let Some(bytes) = state_size {
        put(&mut table, "state_size", format!("{bytes} B"));
    }
    if !storage.is_default() {
        put(&mut table, "storage", storage.name());
    }
    if fallbacks.is_empty() {
        table.insert("match".into(), Value::Table(selector_table(select)));
    } else {
        let list = std::iter::once(select).chain(fallbacks);
        let list = list.map(|select| Value::Table(selector_table(select)));
        table.insert("any_of".into(), Value::Array(list.collect()));
    }
    if let Some(second) = second {
        table.insert("second".into(), Value::Table(selector_table(second)));
    }
    table
}

fn storage_table(storage: &StorageChoice) -> Table {
    let StorageChoice {
        name,
        kind,
        select,
        count,
        wipe,
        keep,
    } = storage;
    let mut table = Table::new();
    put(&mut table, "name", name.as_str());
    if !*keep {
        put(&mut table, "type", kind.name());
    }
    for (key, flag) in [("wipe", wipe), ("keep", keep)] {
        if *flag {
            table.insert(key.into(), Value::Boolean(true));
        }
    }
    let mut matching = selector_table(select);
    let count = i64::try_from(*count).unwrap_or(i64::MAX);
    matching.insert("count".into(), Value::Integer(count));
    table.insert("match".into(), Value::Table(matching));
    table
}

fn selector_table(select: &DiskSelector) -> Table {
    let DiskSelector {
        path,
        serial,
        wwn,
        model,
        transport,
        size_min,
        size_max,
        rotational,
    } = select;
    let mut matching = Table::new();
    let texts = [
        ("path", path.clone()),
        ("serial", serial.clone()),
        ("wwn", wwn.clone()),
        (
            "model",
            model.as_ref().map(|model| model.as_str().to_owned()),
        ),
        (
            "transport",
            transport.map(|transport| transport.name().to_owned()),
        ),
        // In bytes, so that nothing is rounded.
        ("size_min", size_min.map(|bytes| format!("{bytes} B"))),
        ("size_max", size_max.map(|bytes| format!("{bytes} B"))),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            put(&mut matching, key, text);
        }
    }
    if let Some(rotational) = rotational {
        matching.insert("rotational".into(), Value::Boolean(*rotational));
    }
    matching
}

fn system_table(system: &SystemChoice) -> Table {
    let SystemChoice {
        hostname,
        root_password,
        ssh_keys,
        timezone,
        keymap,
        locale,
        enable,
        disable,
    } = system;
    let mut table = Table::new();
    put(&mut table, "hostname", hostname.to_string());
    if let Some(hash) = root_password {
        put(&mut table, "root_password_hash", hash.expose());
    }
    let keys: Vec<&str> = ssh_keys.iter().map(|key| key.as_str()).collect();
    put_list(&mut table, "ssh_keys", &keys);
    put(&mut table, "timezone", timezone.as_str());
    if let Some(keymap) = keymap {
        put(&mut table, "keymap", keymap.as_str());
    }
    if let Some(locale) = locale {
        put(&mut table, "locale", locale.as_str());
    }
    let mut services = Table::new();
    for (key, units) in [("enable", enable), ("disable", disable)] {
        let units: Vec<&str> = units.iter().map(|unit| unit.as_str()).collect();
        put_list(&mut services, key, &units);
    }
    if !services.is_empty() {
        table.insert("services".into(), Value::Table(services));
    }
    table
}

fn webhook_table(webhook: &WebhookChoice) -> Table {
    let WebhookChoice {
        url,
        token,
        pin,
        progress,
    } = webhook;
    let mut table = Table::new();
    put(&mut table, "url", url.expose());
    if let Some(token) = token {
        put(&mut table, "token", token.expose());
    }
    if let Some(pin) = pin {
        put(&mut table, "pin", pin.to_string());
    }
    table.insert("progress".into(), Value::Boolean(*progress));
    table
}

fn hook_table(hook: &HookChoice) -> Table {
    let HookChoice {
        name,
        when,
        program,
        time_limit_s,
        may_fail,
    } = hook;
    let mut table = Table::new();
    put(&mut table, "name", name);
    put(&mut table, "when", when.to_string());
    match program {
        // One that stands in answers is text.
        HookProgram::Inline(script) => {
            put(
                &mut table,
                "script",
                String::from_utf8_lossy(script.expose()),
            );
        }
        HookProgram::File { file, sha256, .. } => {
            put(&mut table, "file", file);
            if let Some(sha256) = sha256 {
                put(&mut table, "sha256", sha256);
            }
        }
    }
    // Within four hours.
    let seconds = i64::try_from(*time_limit_s).unwrap_or(i64::MAX);
    table.insert("time_limit".into(), Value::Integer(seconds));
    table.insert("may_fail".into(), Value::Boolean(*may_fail));
    table
}

fn boot_table(boot: &BootChoice) -> Table {
    let BootChoice {
        console,
        dom0_memory,
        dom0_vcpus,
        xen_args,
        kernel_args,
        enroll_keys,
    } = boot;
    let mut table = Table::new();
    if let Some(console) = console {
        put(&mut table, "console", console.name());
    }
    if let Some(bytes) = dom0_memory {
        put(&mut table, "dom0_memory", format!("{bytes} B"));
    }
    if let Some(count) = dom0_vcpus {
        table.insert("dom0_vcpus".into(), Value::Integer(i64::from(*count)));
    }
    for (key, words) in [("xen_args", xen_args), ("kernel_args", kernel_args)] {
        let words: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
        put_list(&mut table, key, &words);
    }
    if *enroll_keys {
        table.insert("enroll_keys".into(), Value::Boolean(true));
    }
    table
}

fn network_table(network: &NetworkChoice) -> Table {
    let NetworkChoice {
        management,
        bridges,
        names,
    } = network;
    let mut table = Table::new();
    // The management network follows the routers' announcements unless it says otherwise.
    bridge_into(&mut table, management);
    put_list(&mut table, "dns", &management.dns);
    put_list(&mut table, "search", &management.search);
    put_list(&mut table, "ntp", &management.ntp);
    let bridges: Vec<Value> = bridges
        .iter()
        .map(|bridge| {
            let mut table = Table::new();
            put(&mut table, "name", &bridge.name);
            bridge_into(&mut table, bridge);
            Value::Table(table)
        })
        .collect();
    if !bridges.is_empty() {
        table.insert("bridge".into(), Value::Array(bridges));
    }
    let names: Vec<Value> = names
        .iter()
        .map(|name| {
            let mut table = Table::new();
            put(&mut table, "mac", name.mac.to_string());
            put(&mut table, "name", &name.name);
            Value::Table(table)
        })
        .collect();
    if !names.is_empty() {
        table.insert("name".into(), Value::Array(names));
    }
    table
}

/// What a bridge has in either place. Name servers of more bridges stand with their addresses.
fn bridge_into(table: &mut Table, bridge: &BridgeChoice) {
    let BridgeChoice {
        name: _,
        uplink,
        vlan,
        mtu,
        address,
        ipv6,
        dns,
        search: _,
        ntp: _,
    } = bridge;
    let more = bridge.name != crate::choices::MANAGEMENT_BRIDGE;
    match uplink {
        UplinkChoice::Interface(InterfaceChoice::Auto) => {}
        UplinkChoice::Interface(interface) => put(table, "interface", interface_word(interface)),
        UplinkChoice::Bond { mode, interfaces } => {
            let mut bond = Table::new();
            let mode = match mode {
                BondMode::ActiveBackup => "active-backup",
                BondMode::Lacp => "lacp",
            };
            put(&mut bond, "mode", mode);
            let members: Vec<String> = interfaces.iter().map(interface_word).collect();
            put_list(&mut bond, "interfaces", &members);
            table.insert("bond".into(), Value::Table(bond));
        }
    }
    for (key, number) in [("vlan", vlan.map(i64::from)), ("mtu", mtu.map(i64::from))] {
        if let Some(number) = number {
            table.insert(key.into(), Value::Integer(number));
        }
    }
    let mut written_dns = !more;
    match address {
        AddressChoice::Dhcp => {
            table.insert("dhcp".into(), Value::Boolean(true));
        }
        AddressChoice::Static(fixed) => {
            let mut inner = Table::new();
            put(&mut inner, "address", fixed.address.to_string());
            if let Some(gateway) = fixed.gateway {
                put(&mut inner, "gateway", gateway.to_string());
            }
            if !written_dns {
                put_list(&mut inner, "dns", dns);
                written_dns = true;
            }
            table.insert("static".into(), Value::Table(inner));
        }
        AddressChoice::None => {}
    }
    match ipv6 {
        Ipv6Choice::Auto => put(table, "ipv6", "auto"),
        Ipv6Choice::Dhcp => put(table, "ipv6", "dhcp"),
        Ipv6Choice::None => put(table, "ipv6", "none"),
        Ipv6Choice::Static(fixed) => {
            let mut inner = Table::new();
            put(&mut inner, "address", fixed.address.to_string());
            if let Some(gateway) = fixed.gateway {
                put(&mut inner, "gateway", gateway.to_string());
            }
            if !written_dns {
                put_list(&mut inner, "dns", dns);
            }
            table.insert("static6".into(), Value::Table(inner));
        }
    }
}

fn interface_word(interface: &InterfaceChoice) -> String {
    match interface {
        InterfaceChoice::Auto => "auto".to_owned(),
        InterfaceChoice::Name(name) | InterfaceChoice::Pci(name) => name.clone(),
        InterfaceChoice::Mac(mac) => mac.to_string(),
    }
}
