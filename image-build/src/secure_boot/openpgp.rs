//! OpenPGP (RFC 9580, the packets of version 4), as far as GRUB's `pgp` module reads it: an RSA public key, and detached
//! signatures of files. The key is the one that signs for db.

use super::keys::Signer;
use crate::base_tree::FIXED_EPOCH;
use anyhow::Result;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::signature::KeyPair as _;
use sha2::{Digest, Sha256};

/// What GRUB appends to the name of a file that it checks.
pub const SIGNATURE_SUFFIX: &str = ".sig";

const VERSION: u8 = 4;
const RSA: u8 = 1;
const SHA256: u8 = 8;
/// Signature of a binary document.
const BINARY: u8 = 0;
/// Packet tags in the old format with a length of two bytes.
const PUBLIC_KEY_PACKET: u8 = 0x80 | 6 << 2 | 1;
const SIGNATURE_PACKET: u8 = 0x80 | 2 << 2 | 1;
/// Subpackets.
const CREATION_TIME: u8 = 2;
const ISSUER: u8 = 16;

/// The public key, for `grub-mkimage --pubkey`.
pub fn public_key(signer: &Signer) -> Vec<u8> {
    packet(PUBLIC_KEY_PACKET, &key_body(signer))
}

/// The signature of `data` with the time `epoch` (seconds since 1970).
///
/// # Errors
/// When the key cannot sign.
pub fn detached_signature(signer: &Signer, epoch: u64, data: &[u8]) -> Result<Vec<u8>> {
    let mut head = vec![VERSION, BINARY, RSA, SHA256];
    let time = u32::try_from(epoch)?.to_be_bytes();
    let hashed = [&[5, CREATION_TIME], time.as_slice()].concat();
    head.extend((hashed.len() as u16).to_be_bytes());
    head.extend(hashed);
    let mut message = Vec::with_capacity(data.len() + head.len() + 6);
    message.extend_from_slice(data);
    message.extend_from_slice(&head);
    message.extend([VERSION, 0xff]);
    message.extend((head.len() as u32).to_be_bytes());
    let issuer = [&[9, ISSUER], key_id(signer).as_slice()].concat();
    let mut body = head;
    body.extend((issuer.len() as u16).to_be_bytes());
    body.extend(issuer);
    body.extend_from_slice(&Sha256::digest(&message)[..2]);
    body.extend(number(&signer.sign(&message)?));
    Ok(packet(SIGNATURE_PACKET, &body))
}

fn key_body(signer: &Signer) -> Vec<u8> {
    let public = signer.key().public_key();
    let mut body = vec![VERSION];
    // The time is part of what names the key: a fixed one, so that the key alone says its name.
    body.extend((FIXED_EPOCH as u32).to_be_bytes());
    body.push(RSA);
    body.extend(number(public.modulus().big_endian_without_leading_zero()));
    body.extend(number(public.exponent().big_endian_without_leading_zero()));
    body
}

/// The last eight bytes of the fingerprint, which is SHA-1 by definition and protects nothing here.
fn key_id(signer: &Signer) -> [u8; 8] {
    let body = key_body(signer);
    let named = [&[0x99], (body.len() as u16).to_be_bytes().as_slice(), &body].concat();
    let mut id = [0; 8];
    id.copy_from_slice(&digest(&SHA1_FOR_LEGACY_USE_ONLY, &named).as_ref()[12..]);
    id
}

/// A multiprecision integer: its length in bits, then its bytes without leading zeros.
fn number(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = &bytes[zeros..];
    let unused = bytes.first().map_or(0, |byte| byte.leading_zeros() as u16);
    let bits = bytes.len() as u16 * 8 - unused;
    [bits.to_be_bytes().as_slice(), bytes].concat()
}

fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag], (body.len() as u16).to_be_bytes().as_slice(), body].concat()
}
