//! The kernel's announcements of devices.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// Multicast group of the kernel's own messages (udev's are group 2).
const KERNEL_GROUP: u32 = 1;

/// Larger than any message: the kernel builds them in a buffer of 2048 bytes (`UEVENT_BUFFER_SIZE`) behind a path.
const MESSAGE_BYTES: usize = 8192;

/// Bytes that the kernel may keep for us while modules are loaded.
const QUEUE_BYTES: usize = 4 << 20;

/// Receives what the kernel says about devices from the moment it is opened.
pub struct Listener {
    socket: OwnedFd,
}

/// What [`Listener::next`] heard.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A device, with its modalias where it has one.
    Device(Option<String>),
    /// Nothing in the given time.
    Silence,
    /// Messages were lost, because they came faster than they were read: /sys must be read again.
    Lost,
}

impl Listener {
    /// Starts to listen; `next` waits for `milliseconds` at most.
    pub fn open(milliseconds: i64) -> nix::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        // Beyond the usual limit, which root may pass; a smaller queue still works, and tells when it overflows.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &QUEUE_BYTES);
        setsockopt(
            &socket,
            sockopt::ReceiveTimeout,
            &TimeVal::milliseconds(milliseconds),
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
        Ok(Self { socket })
    }

    /// Waits for the next message.
    pub fn next(&self) -> nix::Result<Heard> {
        let mut buffer = [0; MESSAGE_BYTES];
        match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => Ok(Heard::Device(modalias(&buffer[..length]))),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Heard::Silence),
            Err(Errno::ENOBUFS) => Ok(Heard::Lost),
            Err(error) => Err(error),
        }
    }
}

/// The modalias of a device that was added or changed; none for one that goes.
fn modalias(message: &[u8]) -> Option<String> {
    let value = |key: &str| {
        message
            .split(|&byte| byte == 0)
            .filter_map(|field| std::str::from_utf8(field).ok())
            .find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
    };
    if value("ACTION") == Some("remove") {
        return None;
    }
    value("MODALIAS").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::modalias;

    #[test]
    fn takes_the_modalias_of_what_comes() {
        let message = b"add@/devices/pci\0ACTION=add\0DEVPATH=/devices/pci\0SUBSYSTEM=pci\0MODALIAS=pci:v1d2\0SEQNUM=7\0";
        assert_eq!(modalias(message).as_deref(), Some("pci:v1d2"));
        assert_eq!(modalias(b"add@/x\0ACTION=add\0SEQNUM=8\0"), None);
        assert_eq!(
            modalias(b"remove@/x\0ACTION=remove\0MODALIAS=pci:v1d2\0"),
            None
        );
        assert_eq!(modalias(b"\xff\0MODALIASES=x"), None);
        assert_eq!(modalias(b""), None);
    }
}
