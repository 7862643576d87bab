//! Programs of hooks.

use super::ValueError;
use sha2::{Digest, Sha256};
use std::fmt;

/// Largest program in bytes.
const LARGEST: usize = 1024 * 1024;
/// How a compiled program starts (elf(5)).
const ELF: &[u8] = b"\x7fELF";

/// A program that a hook runs. It may hold secrets: it is never serialized, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Script(Vec<u8>);

impl Script {
    /// Checks that the kernel can run it, and its size.
    pub fn parse(bytes: &[u8]) -> Result<Self, ValueError> {
        if bytes.len() > LARGEST {
            return Err(ValueError::new(
                "is larger than 1 MiB",
                "let a small script fetch what is large",
            ));
        }
        if !bytes.starts_with(b"#!/") && !bytes.starts_with(ELF) {
            return Err(ValueError::new(
                "does not say what runs it",
                "start it with a line such as `#!/bin/sh`",
            ));
        }
        let first = bytes.split(|byte| *byte == b'\n').next();
        if first.is_some_and(|line| line.starts_with(b"#!") && line.ends_with(b"\r")) {
            return Err(ValueError::new(
                "has the line ends of Windows, which no shell reads",
                "save it with the line ends of Unix",
            ));
        }
        Ok(Script(bytes.to_owned()))
    }

    /// The bytes, for the one who runs it.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256, lowercase hexadecimal.
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.0))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_runs_is_taken_and_debug_hides_it() {
        let script = Script::parse(b"#!/bin/sh\necho hunter2\n").unwrap();
        assert_eq!(format!("{script:?}"), "Script(hidden)");
        assert!(Script::parse(b"\x7fELF\x02").is_ok());
        for bad in [
            &b""[..],
            b"echo x",
            b"#! /bin/sh\n",
            b"#!/bin/sh\r\necho\r\n",
        ] {
            assert!(Script::parse(bad).is_err(), "{bad:?}");
        }
        let mut large = b"#!/bin/sh\n".to_vec();
        large.resize(LARGEST + 1, b'#');
        assert!(Script::parse(&large).is_err());
    }

    #[test]
    fn its_hash_is_that_of_sha256sum() {
        // printf '#!/bin/sh\n' | sha256sum
        assert_eq!(
            Script::parse(b"#!/bin/sh\n").unwrap().sha256(),
            "a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf"
        );
    }
}
