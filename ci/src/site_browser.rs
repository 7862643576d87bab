//! The site of the compatibility list in headless Chromium: searched, filtered, without its script, and as pictures.
//!
//! A copy of the page gets a probe, a script that writes down which rows have a box on the screen. What a style sheet
//! hides, or fails to hide, is not seen in the markup.

use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use hcl_checker::list::List;
use hcl_checker::site;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Chromium takes four seconds; a busy machine many times that.
const LIMIT: Duration = Duration::from_secs(120);
/// Windows that pictures are made of: a notebook's, where the table has all its columns, and a phone's.
const WINDOWS: [(u32, u32); 2] = [(1400, 1000), (500, 900)];
/// Searched for in the pictures and the check: the PCI id of the X710, driven by `i40e`.
const SEARCHED: &str = "1572";

/// Stands before everything else, so that an error of the page's own script is not lost.
const LISTEN: &str = "<script>window.failures = []; addEventListener('error', (event) => failures.push(event.message));</script>";
/// Stands last: the page's own script has run. What it finds is left in the page, which Chromium prints.
const PROBE: &str = include_str!("site_browser/probe.html");

/// What the probe saw.
#[derive(Debug, Deserialize)]
struct Seen {
    rows: Vec<Row>,
    /// The same rows, by whether they are visible, after the search was emptied as a user does it.
    emptied: Vec<bool>,
    /// What the form says about how many there are.
    count: String,
    /// Pixels by which something sticks out of the window.
    sticks_out: i64,
    /// Messages of scripts that failed.
    failures: Vec<String>,
}

/// A row of the table.
#[derive(Debug, Clone, Deserialize)]
struct Row {
    /// The id of its entry in the list.
    entry: String,
    kind: String,
    id: String,
    needs: String,
    text: String,
    visible: bool,
}

/// Makes the site, looks at it, and returns the pictures.
///
/// # Errors
/// When Chromium is missing or does not work, and with all that is wrong with the page.
pub fn check(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let folder = workspace.target().join("site");
    let list = List::built_in()?;
    let html = site::page(&list);
    let page = folder.join("index.html");
    write(&page, &html)?;
    let probed = folder.join("probed.html");
    write(&probed, &with_probe(&html)?)?;
    let scriptless = folder.join("scriptless.html");
    write(&scriptless, &with_probe(&without_script(&html)?)?)?;

    let browser = Browser::new()?;
    let mut wrong = Vec::new();
    for (width, height) in WINDOWS {
        let mut look = |page: &Path, fragment: &str, judge: &dyn Fn(&Seen) -> Vec<String>| {
            let seen = browser.look(page, fragment, (width, height))?;
            let mut found = judge(&seen);
            found.extend(layout(&seen));
            wrong.extend(
                found
                    .into_iter()
                    .map(|what| format!("{fragment:?}, {width} pixels wide: {what}")),
            );
            anyhow::Ok(())
        };
        look(&probed, &format!("#q={SEARCHED}"), &searched)?;
        look(&probed, "#kind=CPU", &filtered)?;
        look(&probed, "", &|seen| whole(seen, &list))?;
        look(&scriptless, "#q=without+its+script", &|seen| {
            whole(seen, &list)
        })?;
    }
    let mut pictures = Vec::new();
    for (width, height) in WINDOWS {
        for (name, fragment) in [("all", String::new()), ("search", format!("#q={SEARCHED}"))] {
            let picture = folder.join(format!("{name}-{width}x{height}.png"));
            browser.picture(&page, &fragment, (width, height), &picture)?;
            pictures.push(picture);
        }
    }
    if !wrong.is_empty() {
        bail!(
            "the site is wrong in a browser; {} is the page, hcl-checker/src/site.rs makes it:\n    {}",
            page.display(),
            wrong.join("\n    ")
        );
    }
    Ok(pictures)
}

fn write(file: &Path, text: &str) -> Result<()> {
    file.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(file, text))
        .with_context(|| format!("{} cannot be written", file.display()))
}

fn with_probe(html: &str) -> Result<String> {
    if !html.contains("<head>") || !html.contains("</body>") {
        bail!("the page has no <head> or no </body>, where the probe of `ci site` would go");
    }
    let html = html.replacen("<head>", &format!("<head>{LISTEN}"), 1);
    Ok(html.replacen("</body>", &format!("{PROBE}</body>"), 1))
}

/// The page as a browser shows it that runs no scripts, but for what stands in `noscript`.
fn without_script(html: &str) -> Result<String> {
    let parts = html
        .split_once("<script>")
        .and_then(|(before, rest)| Some((before, rest.split_once("</script>")?.1)));
    match parts {
        Some((before, after)) if !after.contains("<script") => Ok(format!("{before}{after}")),
        _ => bail!("the page has not exactly one script, as `ci site` expects"),
    }
}

/// What is wrong with a search for [`SEARCHED`].
fn searched(seen: &Seen) -> Vec<String> {
    let mut wrong = fitting(seen, |row| row.text.contains(SEARCHED));
    let found = |row: &Row| {
        row.visible && row.id == format!("8086:{SEARCHED}") && row.needs.contains("driver i40e")
    };
    if !seen.rows.iter().any(found) {
        wrong.push(format!(
            "the entry of i40e for 8086:{SEARCHED} is not visible"
        ));
    }
    wrong.extend(emptied(seen));
    wrong
}

/// What is wrong with the filter for CPUs.
fn filtered(seen: &Seen) -> Vec<String> {
    let mut wrong = fitting(seen, |row| row.kind == "CPU");
    wrong.extend(emptied(seen));
    wrong
}

/// Some rows are visible and some are not, each as `fits` says, and the form counts them.
fn fitting(seen: &Seen, fits: impl Fn(&Row) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let visible = seen.rows.iter().filter(|row| row.visible).count();
    if visible == 0 {
        wrong.push("no row is visible".to_owned());
    }
    if visible == seen.rows.len() {
        wrong.push("no row is hidden".to_owned());
    }
    let amiss: Vec<&Row> = seen
        .rows
        .iter()
        .filter(|row| row.visible != fits(row))
        .collect();
    if let Some(first) = amiss.first() {
        let what = if first.visible {
            "is visible and does not fit"
        } else {
            "fits and is hidden"
        };
        wrong.push(format!(
            "{} rows are not as they should be: {} of {} {what}",
            amiss.len(),
            first.id,
            first.entry
        ));
    }
    let count = format!("{visible} of {}", seen.rows.len());
    if seen.count != count {
        wrong.push(format!("the form says `{}`, not `{count}`", seen.count));
    }
    wrong
}

fn emptied(seen: &Seen) -> Option<String> {
    let all = seen.emptied.len() == seen.rows.len() && seen.emptied.iter().all(|visible| *visible);
    (!all).then(|| "rows stay hidden when search and filters are emptied".to_owned())
}

/// Every entry of the list has a visible row.
fn whole(seen: &Seen, list: &List) -> Vec<String> {
    let mut wrong = Vec::new();
    let hidden = seen.rows.iter().filter(|row| !row.visible).count();
    if hidden > 0 {
        wrong.push(format!("{hidden} of {} rows are hidden", seen.rows.len()));
    }
    let visible: std::collections::BTreeSet<&str> = seen
        .rows
        .iter()
        .filter(|row| row.visible)
        .map(|row| row.entry.as_str())
        .collect();
    let ids = list.entries().iter().map(|entry| entry.id.as_str());
    let missing: Vec<&str> = ids.filter(|id| !visible.contains(id)).collect();
    // One tells what to look for; hundreds would hide the rest.
    if let Some(first) = missing.first() {
        wrong.push(format!(
            "{} entries have no visible row, the first is {first}",
            missing.len()
        ));
    }
    wrong
}

/// What is wrong in every window.
fn layout(seen: &Seen) -> Vec<String> {
    let mut wrong: Vec<String> = seen
        .failures
        .iter()
        .map(|message| format!("a script failed: {message}"))
        .collect();
    if seen.sticks_out > 0 {
        wrong.push(format!(
            "the table is cut off: it sticks out by {} pixels",
            seen.sticks_out
        ));
    }
    wrong
}

/// Chromium with a profile of its own, which goes with it.
struct Browser {
    profile: tempfile::TempDir,
}

impl Browser {
    fn new() -> Result<Browser> {
        let profile = tempfile::tempdir().context("no temporary folder")?;
        Ok(Browser { profile })
    }

    /// What the probe in `page` saw.
    fn look(&self, page: &Path, fragment: &str, window: (u32, u32)) -> Result<Seen> {
        let mut command = self.command(window);
        command.arg("--dump-dom").arg(address(page, fragment)?);
        let dom = process::run(&mut command, b"", LIMIT)?;
        read(&dom).with_context(|| format!("{} as Chromium shows it", page.display()))
    }

    fn picture(
        &self,
        page: &Path,
        fragment: &str,
        window: (u32, u32),
        picture: &Path,
    ) -> Result<()> {
        // Chromium succeeds without writing one, and then an old one would be taken for new.
        if picture.exists() {
            fs::remove_file(picture)
                .with_context(|| format!("{} cannot be removed", picture.display()))?;
        }
        let mut command = self.command(window);
        command
            .arg(format!("--screenshot={}", picture.display()))
            .arg(address(page, fragment)?);
        process::run(&mut command, b"", LIMIT)?;
        if !fs::metadata(picture).is_ok_and(|file| file.len() > 0) {
            bail!(
                "chromium made no {}: is there space, and may it be written?",
                picture.display()
            );
        }
        Ok(())
    }

    fn command(&self, (width, height): (u32, u32)) -> Command {
        let mut command = Command::new("chromium");
        command
            // Its sandbox refuses to run as root; the page is ours.
            .args(["--headless=new", "--no-sandbox", "--disable-gpu"])
            .args(["--no-first-run", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .arg(format!("--window-size={width},{height}"));
        command
    }
}

fn address(page: &Path, fragment: &str) -> Result<String> {
    let path = page.to_str().context("the checkout's path is no UTF-8")?;
    let path = path.replace('%', "%25").replace('#', "%23");
    Ok(format!("file://{}{fragment}", path.replace('?', "%3F")))
}

/// Finds what the probe left in the page.
fn read(dom: &str) -> Result<Seen> {
    let json = dom
        .rsplit_once("<script type=\"application/json\" id=\"seen\">")
        .and_then(|(_, rest)| rest.split_once("</script>"));
    let Some((json, _)) = json else {
        bail!("the probe left nothing in the page: it did not run, or failed");
    };
    serde_json::from_str(json).context("the probe left something else than `ci site` reads")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, visible: bool) -> Row {
        Row {
            entry: "x".to_owned(),
            kind: "network".to_owned(),
            id: id.to_owned(),
            needs: "driver i40e".to_owned(),
            text: format!("network {id}"),
            visible,
        }
    }

    fn seen(rows: &[Row], count: &str) -> Seen {
        Seen {
            rows: rows.to_vec(),
            emptied: vec![true; rows.len()],
            count: count.to_owned(),
            sticks_out: 0,
            failures: Vec::new(),
        }
    }

    #[test]
    fn a_search_is_judged_by_what_is_visible() {
        let good = seen(&[row("8086:1572", true), row("8086:10d3", false)], "1 of 2");
        assert_eq!(searched(&good), Vec::<String>::new());
        let none = seen(
            &[row("8086:1572", false), row("8086:10d3", false)],
            "0 of 2",
        );
        assert_eq!(searched(&none).len(), 3, "{:?}", searched(&none));
        let all = seen(&[row("8086:1572", true), row("8086:10d3", true)], "2 of 2");
        assert_eq!(searched(&all).len(), 2, "{:?}", searched(&all));
        assert!(!searched(&seen(&[], "0 of 0")).is_empty());
    }

    #[test]
    fn rows_that_stay_hidden_and_a_wide_table_are_told() {
        let mut page = seen(&[row("8086:1572", true), row("8086:10d3", false)], "1 of 2");
        page.emptied = vec![true, false];
        assert_eq!(searched(&page).len(), 1);
        page.sticks_out = 12;
        page.failures = vec!["no".to_owned()];
        assert_eq!(layout(&page).len(), 2);
    }

    #[test]
    fn the_page_without_its_script_has_none() {
        let html = "<head></head><body><script>\nx</script>\n</body>";
        assert_eq!(
            without_script(html).unwrap(),
            "<head></head><body>\n</body>"
        );
        assert!(without_script("<body></body>").is_err());
        assert!(without_script("<script>a</script><script>b</script>").is_err());
        assert!(read("<html></html>").is_err());
    }
}
