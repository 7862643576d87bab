//! Scripts of hooks that stand in files beside the answers: nothing else is beside answers in an ISO, so they are put into them.

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::path::Path;
use toml_edit::{DocumentMut, Item, TableLike, Value, value};

/// The answers at `path` with the scripts of their hooks in them. Comments and order stay as they are. What is no TOML is
/// returned as it is: `installer validate` says better what is wrong with it.
///
/// # Errors
/// When a script cannot be read, is no text, or is not the one whose SHA-256 is in the answers.
pub fn with_scripts(path: &Path, answers: Vec<u8>) -> Result<Vec<u8>> {
    let parsed = std::str::from_utf8(&answers)
        .ok()
        .and_then(|text| text.parse::<DocumentMut>().ok());
    let Some(mut document) = parsed else {
        return Ok(answers);
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut changed = take_in(document.get_mut("hook"), folder)?;
    for host in tables(document.get_mut("host")) {
        changed |= take_in(host.get_mut("hook"), folder)?;
    }
    Ok(match changed {
        true => document.to_string().into_bytes(),
        false => answers,
    })
}

/// Whether a hook was changed.
fn take_in(hooks: Option<&mut Item>, folder: &Path) -> Result<bool> {
    let mut changed = false;
    for hook in tables(hooks) {
        changed |= take_in_one(hook, folder)?;
    }
    Ok(changed)
}

/// The tables of a list, each written as a section (`[[hook]]`) or in braces (`hook = [{ ... }]`).
fn tables(list: Option<&mut Item>) -> Vec<&mut dyn TableLike> {
    match list {
        Some(Item::ArrayOfTables(list)) => list
            .iter_mut()
            .map(|table| table as &mut dyn TableLike)
            .collect(),
        Some(Item::Value(Value::Array(list))) => list
            .iter_mut()
            .filter_map(Value::as_inline_table_mut)
            .map(|table| table as &mut dyn TableLike)
            .collect(),
        _ => Vec::new(),
    }
}

fn take_in_one(hook: &mut dyn TableLike, folder: &Path) -> Result<bool> {
    let Some(file) = hook.get("file").and_then(Item::as_str) else {
        return Ok(false);
    };
    let path = folder.join(file);
    let name = path.display();
    let bytes = std::fs::read(&path).with_context(|| {
        format!("{name}, the script of a hook, cannot be read; it belongs beside the answers")
    })?;
    let wanted = hook.get("sha256").and_then(Item::as_str);
    let found = hex::encode(Sha256::digest(&bytes));
    if let Some(wanted) = wanted
        && !wanted.eq_ignore_ascii_case(&found)
    {
        bail!("{name} has the SHA-256 {found}, and the answers say {wanted}");
    }
    let script = String::from_utf8(bytes).map_err(|_| {
        anyhow::anyhow!("{name} is no UTF-8 text, which a script in answers must be")
    })?;
    hook.remove("file");
    hook.remove("sha256");
    hook.insert("script", value(script));
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: &str = "# for the lab\nschema = 1\n\n[[hook]]\nname = \"one\"\nwhen = \"first-boot\"\nfile = \"hooks/one.sh\"\n\
                           may_fail = true # really\n\n[[host]]\nserial = \"A\"\n\n[[host.hook]]\nname = \"two\"\nfile = \"two.sh\"\n";

    #[test]
    fn scripts_are_taken_in_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let answers = dir.path().join("answers.toml");
        std::fs::create_dir(dir.path().join("hooks")).unwrap();
        let script = "#!/bin/sh\necho 'a \"b\"' '''\n\\t\n";
        std::fs::write(dir.path().join("hooks/one.sh"), script).unwrap();
        std::fs::write(dir.path().join("two.sh"), "#!/bin/sh\n").unwrap();
        let text = with_scripts(&answers, ANSWERS.into()).unwrap();
        let text = String::from_utf8(text).unwrap();
        let read: toml::Table = text.parse().unwrap();
        assert_eq!(read["hook"][0]["script"].as_str(), Some(script));
        assert_eq!(read["hook"][0]["may_fail"].as_bool(), Some(true));
        assert_eq!(
            read["host"][0]["hook"][0]["script"].as_str(),
            Some("#!/bin/sh\n")
        );
        assert!(!text.contains("file ="), "{text}");
        assert!(
            text.starts_with("# for the lab\n") && text.contains("# really"),
            "{text}"
        );
    }

    #[test]
    fn lists_in_braces_are_taken_in_too() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("one.sh"), "#!/bin/sh\necho \"1\"\n").unwrap();
        let answers = "hook = [{ name = \"one\", file = \"one.sh\" }]\n\
                       host = [{ match = { serial = \"A\" }, hook = [{ name = \"two\", file = \"one.sh\" }] }]\n";
        let text = with_scripts(&dir.path().join("answers.toml"), answers.into()).unwrap();
        let read: toml::Table = String::from_utf8(text).unwrap().parse().unwrap();
        let script = Some("#!/bin/sh\necho \"1\"\n");
        assert_eq!(read["hook"][0]["script"].as_str(), script);
        assert_eq!(read["host"][0]["hook"][0]["script"].as_str(), script);
        assert!(read["hook"][0].get("file").is_none());
    }

    #[test]
    fn what_is_missing_or_another_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let answers = dir.path().join("answers.toml");
        let error = with_scripts(&answers, ANSWERS.into()).unwrap_err();
        assert!(error.to_string().contains("hooks/one.sh"), "{error}");
        let one = |sha256: &str| format!("[[hook]]\nfile = \"one.sh\"\nsha256 = \"{sha256}\"\n");
        std::fs::write(dir.path().join("one.sh"), "#!/bin/sh\n").unwrap();
        let error = with_scripts(&answers, one(&"0".repeat(64)).into()).unwrap_err();
        assert!(error.to_string().contains("SHA-256"), "{error}");
        // printf '#!/bin/sh\n' | sha256sum
        let right = "a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf";
        with_scripts(&answers, one(right).into()).unwrap();
        std::fs::write(dir.path().join("one.sh"), [0xff, 0xfe]).unwrap();
        let error = with_scripts(&answers, b"[[hook]]\nfile = \"one.sh\"\n".to_vec()).unwrap_err();
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }

    #[test]
    fn what_needs_no_change_stays_byte_for_byte() {
        for answers in [
            "schema  =  1\r\n",
            "this is no TOML",
            "[[hook]]\nscript = 1\n",
            "hook = 3\n",
        ] {
            let same = with_scripts(Path::new("answers.toml"), answers.into()).unwrap();
            assert_eq!(same, answers.as_bytes());
        }
    }
}
