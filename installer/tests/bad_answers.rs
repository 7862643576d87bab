//! Every file `cases/bad-answers/NAME.toml` must be refused with exactly the messages in `NAME.txt`.
//! `BEDPLATE_BLESS=1` writes the messages anew; read the difference before you keep it.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use installer::answers;
use installer::values::Zones;
use std::fs;
use std::path::Path;

#[test]
fn bad_answers_are_refused_with_exact_messages() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let zones = Zones::read(&cases.join("zoneinfo"));
    assert!(zones.names().count() > 4);
    let bless = std::env::var_os("BEDPLATE_BLESS").is_some();
    let mut seen = 0;
    let mut wrong = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(cases.join("bad-answers"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries.iter().filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    }) {
        seen += 1;
        let name = path.file_name().unwrap().to_string_lossy();
        let found = match answers::read_bytes(&fs::read(path).unwrap(), &name, &zones, None) {
            Ok(_) => "accepted\n".to_owned(),
            Err(problems) => format!("{problems}\n"),
        };
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("--- {name}\n{found}"));
        }
        assert_ne!(found, "accepted\n", "{name} must be refused");
        for secret in ["correct horse", "TVLlQ", "b3BlbnN", "nonsense"] {
            assert!(
                !found.contains(secret),
                "{name}: a value travels in the message: {found}"
            );
        }
    }
    assert!(seen >= 60, "only {seen} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
