//! The fields that many record types share.

use std::io::Write;

use super::super::mnemonic;
use super::address::{write_ipv4, write_ipv6};
use super::text::{base32, base64, hexadecimal, quoted};
use super::{Field, Rdata};

impl Rdata<'_> {
    /// Reads and writes one field.
    pub(super) fn field(&mut self, field: Field) -> Option<()> {
        match field {
            Field::U8 => {
                let number = self.u8()?;
                self.number(number)
            }
            Field::U16 => {
                let number = self.u16()?;
                self.number(number)
            }
            Field::U32 => {
                let number = self.u32()?;
                self.number(number)
            }
            Field::U48 => {
                let high = self.u16()?;
                let low = self.u32()?;
                self.number(u64::from(high) << 32 | u64::from(low))
            }
            Field::U64 => {
                let number = u64::from_be_bytes(self.array()?);
                self.number(number)
            }
            Field::Type => {
                let number = self.u16()?;
                self.words(&mnemonic::record_type(number))
            }
            Field::Certificate => {
                let number = self.u16()?;
                self.named(mnemonic::certificate_type(number), number)
            }
            Field::Algorithm => {
                let number = self.u8()?;
                self.named(mnemonic::algorithm(number), u16::from(number))
            }
            Field::Scheme => {
                let number = self.u8()?;
                self.named(mnemonic::notify_scheme(number), u16::from(number))
            }
            Field::Error => {
                let number = self.u16()?;
                self.named(mnemonic::signature_error(number), number)
            }
            Field::Time => self.time(),
            Field::Name => self.name(),
            Field::Names => self.until_the_end(Self::name),
            Field::Ipv4 => self.ipv4(),
            Field::Ipv6 => self.ipv6(),
            Field::Locator => self.locator(),
            Field::Hyphenated(length) => self.hyphenated(length),
            Field::Text => self.text(),
            Field::Texts => {
                self.text()?;
                self.until_the_end(Self::text)
            }
            Field::OptionalText if self.decoder.is_empty() => Some(()),
            Field::OptionalText => self.text(),
            Field::RestAsText => {
                let bytes = self.rest()?;
                quoted(bytes, self.word()?);
                Some(())
            }
            Field::Hex if self.decoder.is_empty() => None,
            Field::Hex => {
                let bytes = self.rest()?;
                self.encoded(bytes, hexadecimal)
            }
            Field::Nsap => {
                let bytes = self.rest()?;
                let out = self.word()?;
                out.extend_from_slice(b"0x");
                hexadecimal(bytes, out);
                (!bytes.is_empty()).then_some(())
            }
            Field::Base64 if self.decoder.is_empty() => None,
            Field::Base64OrHyphen if self.decoder.is_empty() => self.words("-"),
            Field::Base64 | Field::OptionalBase64 | Field::Base64OrHyphen => {
                let bytes = self.rest()?;
                self.encoded(bytes, base64)
            }
            Field::SizedBase64 => {
                let length = self.u16()?;
                let bytes = self.bytes(usize::from(length))?;
                self.number(length)?;
                self.encoded(bytes, base64)
            }
            Field::Salt => match self.counted()? {
                [] => self.words("-"),
                salt => self.encoded(salt, hexadecimal),
            },
            Field::Hash => match self.counted()? {
                [] => None,
                hash => self.encoded(hash, base32),
            },
            Field::Types => self.types(),
            _ => self.irregular(field),
        }
    }

    /// Repeats a step until the RDATA ends.
    pub(super) fn until_the_end(&mut self, step: fn(&mut Self) -> Option<()>) -> Option<()> {
        while !self.decoder.is_empty() {
            step(self)?;
        }
        Some(())
    }

    /// Writes a word.
    pub(super) fn words(&mut self, word: &str) -> Option<()> {
        self.word()?.extend_from_slice(word.as_bytes());
        Some(())
    }

    /// Writes bytes as one word in an encoding, nothing where there are none.
    pub(super) fn encoded(&mut self, bytes: &[u8], encode: fn(&[u8], &mut Vec<u8>)) -> Option<()> {
        if !bytes.is_empty() {
            encode(bytes, self.word()?);
        }
        Some(())
    }

    /// Writes the name of a number, the number where it has none.
    fn named(&mut self, name: Option<&str>, number: u16) -> Option<()> {
        match name {
            Some(name) => self.words(name),
            None => self.number(number),
        }
    }

    fn time(&mut self) -> Option<()> {
        let time = jiff::Timestamp::from_second(i64::from(self.u32()?)).ok()?;
        write!(self.word()?, "{}", time.strftime("%Y%m%d%H%M%S")).ok()
    }

    pub(super) fn ipv4(&mut self) -> Option<()> {
        let octets = self.array::<4>()?;
        let out = self.word()?;
        write_ipv4(octets, |text| out.extend_from_slice(text));
        Some(())
    }

    pub(super) fn ipv6(&mut self) -> Option<()> {
        let address = self.array::<16>()?.into();
        let out = self.word()?;
        write_ipv6(address, |text| out.extend_from_slice(text));
        Some(())
    }

    fn locator(&mut self) -> Option<()> {
        let groups = [self.u16()?, self.u16()?, self.u16()?, self.u16()?];
        let [a, b, c, d] = groups;
        write!(self.word()?, "{a:x}:{b:x}:{c:x}:{d:x}").ok()
    }

    fn hyphenated(&mut self, length: usize) -> Option<()> {
        let bytes = self.bytes(length)?;
        let out = self.word()?;
        for (place, byte) in bytes.chunks(1).enumerate() {
            if place > 0 {
                out.push(b'-');
            }
            hexadecimal(byte, out);
        }
        Some(())
    }

    fn text(&mut self) -> Option<()> {
        let bytes = self.counted()?;
        quoted(bytes, self.word()?);
        Some(())
    }

    /// The windows stand in rising order, each with 1 to 32 bytes of its bitmap.
    fn types(&mut self) -> Option<()> {
        let mut least = 0;
        while !self.decoder.is_empty() {
            let window = u16::from(self.u8()?);
            let bitmap = self.counted()?;
            if window < least || !(1..=32).contains(&bitmap.len()) {
                return None;
            }
            least = window + 1;
            for number in set_bits(bitmap) {
                self.words(&mnemonic::record_type(window << 8 | number))?;
            }
        }
        Some(())
    }
}

/// The numbers of the bits that are set, the first byte's highest being 0.
pub(super) fn set_bits(bitmap: &[u8]) -> impl Iterator<Item = u16> {
    (0_u16..).zip(bitmap).flat_map(|(place, &byte)| {
        (0..8)
            .filter(move |bit| byte & (0x80 >> bit) != 0)
            .map(move |bit| place * 8 + bit)
    })
}
