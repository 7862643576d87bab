//! Puts the reviewed files of `db` together into one JSON text, in the order of their names.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=db");
    println!("cargo::rerun-if-changed=build.rs");
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
    let out = Path::new(&env::var("OUT_DIR")?).join("list.json");
    fs::write(out, serde_json::to_string(&whole)?)?;
    Ok(())
}
