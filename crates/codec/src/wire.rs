//! A cursor over bytes that a peer sent: the protocol's primitives, each read within bounds.

/// Why a primitive cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("{need} bytes wanted, {have} left")]
    Short { need: usize, have: usize },
    #[error("varint is longer than its type")]
    Varint,
    #[error("length or count {0} is negative")]
    Negative(i64),
}

type Result<T> = std::result::Result<T, WireError>;

/// Reads primitives off the front of a slice and knows how far it came.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    pos: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, pos: 0 }
    }

    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.pos
    }

    #[inline]
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.pos
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let have = self.remaining();
        if len > have {
            return Err(WireError::Short { need: len, have });
        }
        let taken = &self.bytes[self.pos..self.pos + len];
        self.pos += len;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub(crate) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    #[inline]
    pub(crate) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    #[inline]
    pub(crate) fn uuid(&mut self) -> Result<uuid::Uuid> {
        Ok(uuid::Uuid::from_bytes(self.array()?))
    }

    /// An unsigned varint of at most 32 bits.
    #[inline]
    pub(crate) fn uvarint(&mut self) -> Result<u32> {
        match self.short_uvarint() {
            Some(short) => Ok(short),
            None => self.long_uvarint(32).map(|value| value as u32),
        }
    }

    /// A varint of one or two bytes: almost all lengths and deltas of records, which are read by the million.
    #[inline]
    fn short_uvarint(&mut self) -> Option<u32> {
        match *self.bytes.get(self.pos..)? {
            [first, ..] if first < 0x80 => {
                self.pos += 1;
                Some(u32::from(first))
            }
            [first, second, ..] if second < 0x80 => {
                self.pos += 2;
                Some(u32::from(first & 0x7f) | u32::from(second) << 7)
            }
            _ => None,
        }
    }

    /// A varint of any length.
    fn long_uvarint(&mut self, bits: u32) -> Result<u64> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.u8()?;
            let part = u64::from(byte & 0x7f);
            if shift >= bits || (bits - shift < 7 && part >> (bits - shift) != 0) {
                return Err(WireError::Varint);
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// A zigzag varint of 32 bits, as records use.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<i32> {
        let raw = self.uvarint()?;
        Ok(((raw >> 1) as i32) ^ -((raw & 1) as i32))
    }

    /// A zigzag varint of 64 bits, as records use.
    #[inline]
    pub(crate) fn varlong(&mut self) -> Result<i64> {
        let raw = match self.short_uvarint() {
            Some(short) => u64::from(short),
            None => self.long_uvarint(64)?,
        };
        Ok(((raw >> 1) as i64) ^ -((raw & 1) as i64))
    }

    /// The length of a string: an i16, or a varint plus one when compact. `None` for null.
    #[inline]
    pub(crate) fn string_len(&mut self, flexible: bool) -> Result<Option<usize>> {
        if flexible {
            return self.compact_len();
        }
        let len = self.i16()?;
        signed_len(i64::from(len))
    }

    /// The length of bytes or the count of an array: an i32, or a varint plus one when compact. `None` for null.
    #[inline]
    pub(crate) fn long_len(&mut self, flexible: bool) -> Result<Option<usize>> {
        if flexible {
            return self.compact_len();
        }
        let len = self.i32()?;
        signed_len(i64::from(len))
    }

    #[inline]
    fn compact_len(&mut self) -> Result<Option<usize>> {
        Ok(self.uvarint()?.checked_sub(1).map(|len| len as usize))
    }

    /// Steps over a section of tagged fields (KIP-482) whose tags nobody asks for.
    #[inline]
    pub(crate) fn skip_tagged_fields(&mut self) -> Result<()> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let size = self.uvarint()? as usize;
            self.take(size)?;
        }
        Ok(())
    }
}

#[inline]
fn signed_len(len: i64) -> Result<Option<usize>> {
    match len {
        -1 => Ok(None),
        0.. => Ok(Some(len as usize)),
        _ => Err(WireError::Negative(len)),
    }
}

/// Appends an unsigned varint.
pub(crate) fn put_uvarint(out: &mut impl bytes::BufMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Appends the length of a string, of which no more than fits may follow; `None` for null.
pub(crate) fn put_string_len(out: &mut impl bytes::BufMut, flexible: bool, len: Option<usize>) {
    match (flexible, len) {
        (true, _) => put_compact_len(out, len),
        (false, Some(len)) => out.put_i16(i16::try_from(len).unwrap_or(i16::MAX)),
        (false, None) => out.put_i16(-1),
    }
}

/// Appends the length of bytes or the count of an array; `None` for null.
pub(crate) fn put_long_len(out: &mut impl bytes::BufMut, flexible: bool, len: Option<usize>) {
    match (flexible, len) {
        (true, _) => put_compact_len(out, len),
        (false, Some(len)) => out.put_i32(i32::try_from(len).unwrap_or(i32::MAX)),
        (false, None) => out.put_i32(-1),
    }
}

fn put_compact_len(out: &mut impl bytes::BufMut, len: Option<usize>) {
    let coded = len.map_or(0, |len| len.saturating_add(1));
    put_uvarint(out, u32::try_from(coded).unwrap_or(u32::MAX));
}

/// Appends a zigzag varint of 64 bits; one of 32 bits looks the same.
pub(crate) fn put_varlong(out: &mut impl bytes::BufMut, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.put_u8(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_read_back(small: u32, large: i64, signed: i32) {
            let mut bytes = Vec::new();
            put_uvarint(&mut bytes, small);
            put_varlong(&mut bytes, large);
            put_varlong(&mut bytes, i64::from(signed));
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.uvarint(), Ok(small));
            prop_assert_eq!(reader.varlong(), Ok(large));
            prop_assert_eq!(reader.varint(), Ok(signed));
            prop_assert_eq!(reader.remaining(), 0);
        }
    }

    #[test]
    fn a_varint_that_overflows_its_type_is_refused() {
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x10]);
        assert_eq!(reader.uvarint(), Err(WireError::Varint));
        let mut reader = Reader::new(&[0xff; 11]);
        assert_eq!(reader.varlong(), Err(WireError::Varint));
        let mut reader = Reader::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]);
        assert_eq!(reader.uvarint(), Err(WireError::Varint));
    }

    #[test]
    fn a_length_below_minus_one_is_refused() {
        let mut reader = Reader::new(&[0xff, 0xfe]);
        assert_eq!(reader.string_len(false), Err(WireError::Negative(-2)));
        let mut reader = Reader::new(&[0x80, 0, 0, 0]);
        assert_eq!(
            reader.long_len(false),
            Err(WireError::Negative(i64::from(i32::MIN)))
        );
    }
}
