//! What `[source]` must hold beyond its shape.

use super::super::document::Document;
use super::super::schema::Source;
use super::value;
use crate::choices::SourceChoice;
use crate::values::{Pin, WebUrl};

/// The outer option is none where something is wrong.
pub fn source(source: Option<Source>, document: &mut Document<'_>) -> Option<Option<SourceChoice>> {
    let Some(source) = source else {
        return Some(None);
    };
    let url = match source.url {
        Some(text) => value(document, "source.url", WebUrl::parse(&text)),
        None => {
            document.missing(
                "source.url",
                "[source] has no `url`",
                "add `url = \"https://...\"`, or leave the section out to install the release of the medium",
            );
            None
        }
    };
    let pin = match source.pin {
        Some(text) => value(document, "source.pin", Pin::parse(&text)).map(Some),
        None => Some(None),
    };
    let (url, pin) = (url?, pin?);
    if pin.is_some() && !url.is_private() {
        document.problem_at(
            "source.pin",
            "`source.pin` is of no use with `http`: such a server shows no key",
            "write the `url` with `https`, or leave the key out: the release is signed in any case",
        );
        return None;
    }
    if url.expose().contains(['?', '#']) {
        document.problem_at(
            "source.url",
            "`source.url` has a `?` or a `#`, and the names of files come behind it",
            "write the folder of the release; a login may stand before the host: `https://user:password@...`",
        );
        return None;
    }
    Some(Some(SourceChoice { url, pin }))
}
