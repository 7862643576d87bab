//! What a host prints to be licensed without a network.

use crate::XeError;
use crate::local::host_uuid;
use license::{Machine, Request};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use steps::System;

/// The request of this host.
pub fn request(system: &dyn System, machine: &Machine) -> Result<Request, XeError> {
    let installation = host_uuid(system).ok_or_else(|| {
        XeError::failure(
            "INTERNAL_ERROR",
            "/etc/machine-id holds no machine id: `systemd-machine-id-setup` writes one",
        )
    })?;
    Ok(Request::of(installation, machine))
}

/// With the words around it, and as a QR code.
pub fn request_text(request: &Request) -> String {
    let text = request.to_string();
    let sockets = request
        .sockets
        .map_or("not counted".to_owned(), |sockets| sockets.to_string());
    let code = qr_code(&text).map_or(String::new(), |code| format!("{code}\n"));
    format!(
        "Send this to who issues your license. It holds no secret: identifiers of this host as shortened hashes.\n\
         Populated sockets: {sockets}\n\n{text}\n\n{code}\
         Then, with the answer in a file:  xe host-license-add license-file=FILE\n"
    )
}

/// Two rows of the code a line. Terminals are dark: what is light in the code is what is drawn.
fn qr_code(text: &str) -> Option<String> {
    // The lowest level of correction: a screen has no scratches, and the code stays small enough for 80 columns.
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    Some(
        code.render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .build(),
    )
}
