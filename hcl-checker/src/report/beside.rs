//! What lies beside a report: evidence, which the report has by its digests, and the page for people, which is made from it.

use super::{HTML_FILE, REPORT_FILE, Report, Verification, html};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Folder of the evidence.
const EVIDENCE: &str = "evidence";
/// Bytes of a page that are read: those of the biggest servers have some megabytes.
const LIMIT: u64 = 64 << 20;
/// How names begin whose serial numbers and addresses are hashed: the files have the names themselves.
const HASHED: &str = "hmac-sha256:";

/// Files beside a report.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// SHA-256 of each file in the folder of evidence, or why it cannot be read; none where there is no such folder.
    pub evidence: Option<BTreeMap<String, Result<String, String>>>,
    /// The page, or why it cannot be read; none where there is none.
    pub page: Option<Result<Vec<u8>, String>>,
}

impl Beside {
    /// Reads what lies beside the report at `path`. The page is that of a report with its usual name: beside others may be another one's.
    pub fn read(path: &Path) -> Self {
        let folder = path.parent().unwrap_or(Path::new(""));
        let evidence = folder.join(EVIDENCE);
        let page = folder.join(HTML_FILE);
        let has_page = path.file_name().is_some_and(|name| name == REPORT_FILE) && page.exists();
        Self {
            evidence: evidence.is_dir().then(|| files(&evidence)),
            page: has_page.then(|| content(&page).map_err(|error| error.to_string())),
        }
    }
}

fn files(folder: &Path) -> BTreeMap<String, Result<String, String>> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let hashed = entries.map(|entry| {
        let hash = digest(&entry.path()).map_err(|error| error.to_string());
        (entry.file_name().to_string_lossy().into_owned(), hash)
    });
    hashed.collect()
}

/// Opens an ordinary file and no other: a pipe would never end.
fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("this is no file"));
    }
    File::open(path)
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = open(path)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&piece[..read]),
        }
    }
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A longer one differs from every page that this program makes.
    open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Verification {
    /// Holds what lies beside the report against it. `bytes` are those of the report. Evidence that is not there is a remark: it stays
    /// with the submitter.
    #[must_use]
    pub fn with_beside(mut self, bytes: &[u8], beside: &Beside) -> Self {
        if let Some(report) = self.report.take() {
            self.evidence(&report, beside);
            self.page(&report, bytes, beside);
            self.report = Some(report);
        }
        self
    }

    fn evidence(&mut self, report: &Report, beside: &Beside) {
        let Some(files) = &beside.evidence else {
            if !report.evidence.is_empty() {
                self.notes.push(format!(
                    "{EVIDENCE}: this folder is not beside the report, so its {} files are not compared",
                    report.evidence.len()
                ));
            }
            return;
        };
        let mut unnamed = false;
        for evidence in &report.evidence {
            let name = &evidence.name;
            match files.get(name) {
                Some(Ok(hash)) if *hash == evidence.sha256 => {}
                Some(Ok(_)) => self.problems.push(format!(
                    "{EVIDENCE}/{name}: it was changed, its SHA-256 is not that of the report"
                )),
                Some(Err(reason)) => self
                    .notes
                    .push(format!("{EVIDENCE}/{name}: not compared: {reason}")),
                // A name with a serial number in it stands in the report with a hash in its place.
                None if has_content(files, &evidence.sha256) => {}
                None => {
                    unnamed |= name.contains(HASHED);
                    self.notes
                        .push(format!("{EVIDENCE}/{name}: not there, so not compared"));
                }
            }
        }
        for (name, hash) in files {
            let mut all = report.evidence.iter();
            if all.any(|one| one.name == *name || hash.as_ref() == Ok(&one.sha256)) {
                continue;
            }
            let text = format!("{EVIDENCE}/{name}: the report does not name it");
            if unnamed {
                // It may be the one that is missed.
                self.problems.push(format!("{text}, or it was changed"));
            } else {
                self.notes.push(text);
            }
        }
    }

    fn page(&mut self, report: &Report, bytes: &[u8], beside: &Beside) {
        let own = env!("CARGO_PKG_VERSION");
        match &beside.page {
            None => {}
            Some(Err(reason)) => self
                .notes
                .push(format!("{HTML_FILE}: not compared: {reason}")),
            // Another version may write the same in other words.
            Some(Ok(_)) if report.tool.version != own => self.notes.push(format!(
                "{HTML_FILE}: made by hcl-checker {}, so {own} does not compare it",
                report.tool.version
            )),
            Some(Ok(page)) if *page != html(report, bytes).into_bytes() => {
                self.problems.push(format!(
                    "{HTML_FILE}: it is not the page of this report, so it was changed or belongs to another one"
                ));
            }
            Some(Ok(_)) => {}
        }
    }
}

fn has_content(files: &BTreeMap<String, Result<String, String>>, sha256: &str) -> bool {
    files.values().any(|hash| hash.as_deref() == Ok(sha256))
}
