//! Puts the reviewed files of `db` together into one JSON text, in the order of their names, and the names of `pci.ids` into
//! a table that can be searched by halving.
//!
//! `pci.ids` is the public database (<https://pci-ids.ucw.cz>, its license is in its head) without the lines of cards and
//! interfaces: `grep -vP '^\t\t'`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    if env::var_os("CARGO_FEATURE_CHECK").is_some() {
        fs::write(out.join("list.json"), list()?)?;
        let (keys, names) = names()?;
        fs::write(out.join("name-keys"), keys)?;
        fs::write(out.join("names"), names)?;
    }
    Ok(())
}

/// A record for each vendor (`8086`), device (`808610d3`), class (`C02`) and subclass (`C0200`), sorted: a key of eight
/// characters, and where its name begins among the names, which stand one behind the other in the same order.
fn names() -> Result<(Vec<u8>, String), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=pci.ids");
    let mut named = Vec::new();
    let mut above = String::new();
    for line in fs::read_to_string("pci.ids")?.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let text = line.trim_start_matches('\t');
        let (id, name) = text
            .split_once("  ")
            .ok_or_else(|| format!("pci.ids: no name in `{line}`"))?;
        let id = id.replace("C ", "C");
        let key = if text.len() == line.len() {
            above.clone_from(&id);
            id
        } else {
            format!("{above}{id}")
        };
        named.push((format!("{key:<8}"), name.to_owned()));
    }
    named.sort_unstable();
    let (mut keys, mut names) = (Vec::new(), String::new());
    for (key, name) in named {
        keys.extend(key.bytes());
        keys.extend(u32::try_from(names.len())?.to_le_bytes());
        names.push_str(&name);
    }
    Ok((keys, names))
}

/// The rules of `db`.
fn list() -> Result<String, Box<dyn Error>> {
    println!("cargo::rerun-if-changed=db");
    let mut files: Vec<_> = fs::read_dir("db")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "toml")
    });
    files.sort_unstable();
    let mut whole = toml::Table::new();
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        let text = fs::read_to_string(&file)?;
        let table: toml::Table =
            toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        for (kind, rules) in table {
            let toml::Value::Array(rules) = rules else {
                return Err(
                    format!("{}: `{kind}` is no list of [[{kind}]]", file.display()).into(),
                );
            };
            match whole
                .entry(kind)
                .or_insert_with(|| toml::Value::Array(Vec::new()))
            {
                toml::Value::Array(all) => all.extend(rules),
                _ => return Err("a kind of rules that is no list".into()),
            }
        }
    }
    Ok(serde_json::to_string(&whole)?)
}
