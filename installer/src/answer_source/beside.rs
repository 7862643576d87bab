//! Files beside the answers: programs of hooks.

use super::fetch::fetch;
use super::find::{Finder, Found, MOUNT};
use std::path::{Path, PathBuf};
use steps::StepError;
use steps::system::System;

/// Where answers came from, as far as other files may be there too.
#[derive(Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing else is there: an area of the medium, a device that holds nothing else.
    Alone,
    /// A file behind a URL, which may hold credentials.
    Url(String),
    /// A file on the file system of a device, by its path from the root of that.
    Volume(PathBuf, PathBuf),
    /// A file that is reachable as it is.
    File(PathBuf),
}

/// Why a file beside the answers could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{place} holds the answers alone; write the script into them, or put both on a file system or behind a URL"
)]
struct AloneError {
    place: String,
}

/// Why what is beside the answers is not read.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no file")]
struct NoFileError(PathBuf);

impl Finder<'_> {
    /// The content of a file beside the answers. `file` is a path from their folder.
    ///
    /// # Errors
    /// When there is no such file, or no place for one.
    pub fn beside(
        &self,
        found: &Found,
        file: &str,
        tell: &mut dyn FnMut(String),
    ) -> Result<Vec<u8>, StepError> {
        match &found.origin {
            Origin::Alone => Err(AloneError {
                place: found.place.clone(),
            }
            .into()),
            Origin::Url(url) => Ok(fetch(
                self.system,
                &url_beside(url, file),
                self.trust.pin.as_ref(),
                self.pause,
                tell,
            )?),
            Origin::Volume(device, answers) => {
                let path = Path::new(MOUNT).join(path_beside(answers, file));
                // What is not there is no failure of the mount.
                self.mounted(device, |_| Ok(read_plain(self.system, &path)))?
            }
            Origin::File(answers) => beside_file(self.system, answers, file),
        }
    }
}

/// The content of a file beside an answer file of this machine.
///
/// # Errors
/// When it cannot be read.
pub fn beside_file(system: &dyn System, answers: &Path, file: &str) -> Result<Vec<u8>, StepError> {
    read_plain(system, &path_beside(answers, file))
}

/// A pipe would be waited for, and a device may have no end.
fn read_plain(system: &dyn System, path: &Path) -> Result<Vec<u8>, StepError> {
    if system.exists(path) && system.file_size(path).is_none() {
        return Err(NoFileError(path.to_owned()).into());
    }
    Ok(system.read_file(path)?)
}

fn path_beside(answers: &Path, file: &str) -> PathBuf {
    answers.parent().unwrap_or(Path::new("")).join(file)
}

/// The URL of a file beside that of the answers. What is behind the `?` stays: a server that wants a token for the answers
/// wants it for this, too.
fn url_beside(url: &str, file: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (url, String::new()),
    };
    let start = path.find("://").map_or(0, |at| at + 3);
    let folder = match path[start..].rfind('/') {
        Some(slash) => &path[..start + slash],
        None => path,
    };
    format!("{folder}/{file}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_beside_keeps_server_login_and_query() {
        for (url, expected) in [
            ("https://h/a.toml", "https://h/h/x.sh"),
            (
                "https://u:p@h:8443/s/a.toml?t=1/2#f",
                "https://u:p@h:8443/s/h/x.sh?t=1/2",
            ),
            ("http://h", "http://h/h/x.sh"),
            ("http://h/", "http://h/h/x.sh"),
            ("http://h?a=b", "http://h/h/x.sh?a=b"),
        ] {
            assert_eq!(url_beside(url, "h/x.sh"), expected);
        }
    }

    #[test]
    fn a_path_beside_is_in_the_same_folder() {
        for (answers, expected) in [
            ("answers.toml", "h/x.sh"),
            ("/a/b.toml", "/a/h/x.sh"),
            ("a/b.toml", "a/h/x.sh"),
        ] {
            assert_eq!(
                path_beside(Path::new(answers), "h/x.sh"),
                Path::new(expected)
            );
        }
    }
}
