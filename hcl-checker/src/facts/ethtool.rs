//! Driver and firmware of a network interface, asked with the ioctl behind `ethtool -i`.
//!
//! Source: Linux's uapi/linux/ethtool.h. Netlink has no such message, and no maintained crate wraps this one. No device
//! node is opened: the question goes through a socket.

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::AsRawFd;

/// `ETHTOOL_GDRVINFO`.
const GET_DRIVER_INFO: u32 = 3;

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware_version: [u8; 32],
    bus_info: [u8; 32],
    expansion_rom_version: [u8; 32],
    reserved: [u8; 12],
    numbers: [u32; 5],
}

/// The ioctl itself, which hands its argument to the kernel as it is.
#[allow(unsafe_code, missing_docs)]
mod ioctl {
    // SIOCETHTOOL of Linux's sockios.h.
    nix::ioctl_readwrite_bad!(ethtool, 0x8946, nix::libc::ifreq);
}

/// Lines as `ethtool -i` writes them.
pub(super) fn driver_info(name: &str) -> Result<String, String> {
    let mut info = DriverInfo {
        command: GET_DRIVER_INFO,
        driver: [0; 32],
        version: [0; 32],
        firmware_version: [0; 32],
        bus_info: [0; 32],
        expansion_rom_version: [0; 32],
        reserved: [0; 12],
        numbers: [0; 5],
    };
    let mut ifr_name = [0; libc::IFNAMSIZ];
    // The last byte stays zero.
    if name.len() >= ifr_name.len() {
        return Err(format!("{name}: too long for the name of an interface"));
    }
    for (to, from) in ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    let mut request = libc::ifreq {
        ifr_name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_data: (&raw mut info).cast(),
        },
    };
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .map_err(|error| format!("{name}: no socket to ask through: {error}"))?;
    // SAFETY: the descriptor is open, `request` is an ifreq whose data points to a `DriverInfo` that outlives the call
    // and that has the layout and size (196 bytes) that the kernel writes for this command.
    #[allow(unsafe_code)]
    let answer = unsafe { ioctl::ethtool(socket.as_raw_fd(), &raw mut request) };
    answer.map_err(|error| format!("{name}: the driver does not tell: {error}"))?;
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|&byte| byte == 0);
        crate::root::clean(&bytes[..end.unwrap_or(bytes.len())], false)
    };
    Ok(format!(
        "driver: {}\nversion: {}\nfirmware-version: {}\nexpansion-rom-version: {}\nbus-info: {}\n",
        text(&info.driver),
        text(&info.version),
        text(&info.firmware_version),
        text(&info.expansion_rom_version),
        text(&info.bus_info),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_writes_what_has_room() {
        // sizeof(struct ethtool_drvinfo): 4 + 5 * 32 + 12 + 5 * 4.
        assert_eq!(size_of::<DriverInfo>(), 196);
    }

    #[test]
    fn names_of_no_interface() {
        assert!(driver_info("a-name-that-is-too-long").is_err());
        assert!(
            driver_info("nowhere0")
                .expect_err("none")
                .contains("nowhere0")
        );
    }
}
