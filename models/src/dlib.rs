//! Reads what dlib's `serialize` wrote: integers, floats, strings, tensors, matrices.
//!
//! The format has no header and no lengths of parts, so a file is read against what it must hold, to its last byte. Reading
//! never allocates more than a small multiple of the file.

/// Why a file could not be read: what was expected, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: at byte {offset}: {what}")]
pub struct FormatError {
    /// The file's name.
    pub file: String,
    /// Bytes from the beginning of the file.
    pub offset: usize,
    /// What is wrong there.
    pub what: String,
}

/// dlib's stand-ins for values that have no mantissa and exponent.
const INFINITE: i64 = 32000;
const MINUS_INFINITE: i64 = 32001;
const NOT_A_NUMBER: i64 = 32002;

/// Reads one file from its first byte to its last.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    file: &'a str,
    bytes: &'a [u8],
    at: usize,
}

/// A tensor's shape: samples, channels (`k`), rows, columns.
pub type Shape = [usize; 4];

impl<'a> Reader<'a> {
    /// Returns a reader at the first byte of `bytes`; `file` is the name that errors give.
    #[must_use]
    pub fn new(file: &'a str, bytes: &'a [u8]) -> Self {
        Self { file, bytes, at: 0 }
    }

    /// Returns an error at the place where the reader stands.
    #[must_use]
    pub fn error(&self, what: impl Into<String>) -> FormatError {
        FormatError { file: self.file.to_owned(), offset: self.at, what: what.into() }
    }

    /// Returns how many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Returns the next `count` bytes.
    ///
    /// # Errors
    /// [`FormatError`] if the file ends before.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        if count > self.remaining() {
            return Err(self.error(format!("{count} more bytes were expected, {} are left", self.remaining())));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    /// Checks that the whole file has been read.
    ///
    /// # Errors
    /// [`FormatError`] if bytes are left.
    pub fn finish(&self) -> Result<(), FormatError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(self.error(format!("the end was expected, {left} bytes are left"))),
        }
    }

    /// Returns an integer: a control byte (bit 7: negative; low four bits: length, 1 to 8), then the magnitude, little endian.
    ///
    /// # Errors
    /// [`FormatError`]: truncated, a length that is not 1 to 8, or a magnitude beyond 63 bits.
    pub fn int(&mut self) -> Result<i64, FormatError> {
        let start = self.clone();
        let control = self.bytes(1)?[0];
        let length = usize::from(control & 0x0f);
        if !(1..=8).contains(&length) || control & 0x70 != 0 {
            return Err(start.error(format!("{control:#04x} does not begin an integer")));
        }
        let magnitude = self.bytes(length)?.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
        let value = i64::try_from(magnitude).map_err(|_| start.error("an integer is beyond 63 bits"))?;
        Ok(if control & 0x80 == 0 { value } else { -value })
    }

    /// Reads an integer that must be `expected`; `what` names it in errors.
    ///
    /// # Errors
    /// [`FormatError`]: no integer, or another one.
    pub fn expect_int(&mut self, expected: i64, what: &str) -> Result<(), FormatError> {
        let start = self.clone();
        match self.int()? {
            value if value == expected => Ok(()),
            value => Err(start.error(format!("{what} is {value}, not {expected}"))),
        }
    }

    /// Returns an integer that counts something, so not negative.
    ///
    /// # Errors
    /// [`FormatError`]: no integer, or a negative one.
    pub fn size(&mut self) -> Result<usize, FormatError> {
        let start = self.clone();
        let value = self.int()?;
        usize::try_from(value).map_err(|_| start.error(format!("a size is {value}")))
    }

    /// Returns a count of items that follow, each at least one byte long: never more than what is left, so that room for the
    /// items may be reserved before they are read.
    ///
    /// # Errors
    /// [`FormatError`]: no size, or more than the rest of the file holds.
    pub fn count(&mut self) -> Result<usize, FormatError> {
        let start = self.clone();
        let count = self.size()?;
        if count > self.remaining() {
            return Err(start.error(format!("{count} items cannot be in {} bytes", self.remaining())));
        }
        Ok(count)
    }

    /// Returns a truth value, which dlib writes as the character 0 or 1.
    ///
    /// # Errors
    /// [`FormatError`]: truncated, or another character.
    pub fn bool(&mut self) -> Result<bool, FormatError> {
        let start = self.clone();
        match self.bytes(1)?[0] {
            b'0' => Ok(false),
            b'1' => Ok(true),
            other => Err(start.error(format!("{other:#04x} is no truth value"))),
        }
    }

    /// Returns a text.
    ///
    /// # Errors
    /// [`FormatError`]: truncated, or not UTF-8.
    pub fn string(&mut self) -> Result<&'a str, FormatError> {
        let start = self.clone();
        let length = self.count()?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| start.error("a text is not UTF-8"))
    }

    /// Returns a floating-point number: two integers, mantissa `m` and exponent `e`, worth `m * 2^e`. It is exact: dlib writes
    /// an `f32` with at most 24 and an `f64` with at most 53 bits of mantissa.
    ///
    /// # Errors
    /// [`FormatError`]: truncated, or an exponent that no `f64` has.
    pub fn float(&mut self) -> Result<f64, FormatError> {
        let start = self.clone();
        let mantissa = self.int()?;
        match self.int()? {
            INFINITE => Ok(f64::INFINITY),
            MINUS_INFINITE => Ok(f64::NEG_INFINITY),
            NOT_A_NUMBER => Ok(f64::NAN),
            exponent @ -1200..=1200 => Ok(scale(mantissa as f64, exponent as i32)),
            exponent => Err(start.error(format!("a number has the exponent {exponent}"))),
        }
    }

    /// Returns a finite number, as `f32`.
    ///
    /// # Errors
    /// [`FormatError`]: no number, or one beyond the finite `f32`s.
    pub fn finite(&mut self) -> Result<f32, FormatError> {
        let start = self.clone();
        let value = self.float()? as f32;
        if value.is_finite() { Ok(value) } else { Err(start.error(format!("a number is {value}"))) }
    }

    /// Returns a matrix's rows, columns and elements, row by row.
    ///
    /// # Errors
    /// [`FormatError`]: truncated, or a size that the rest of the file cannot hold.
    pub fn matrix(&mut self) -> Result<(usize, usize, Vec<f64>), FormatError> {
        let start = self.clone();
        // Negative sizes mark the present format.
        let mut side = || self.int().map(|v| usize::try_from(v.unsigned_abs()).unwrap_or(usize::MAX));
        let (rows, columns) = (side()?, side()?);
        let count = rows.checked_mul(columns).filter(|&count| count <= self.remaining());
        let Some(count) = count else {
            return Err(start.error(format!("a {rows} x {columns} matrix cannot be in {} bytes", self.remaining())));
        };
        let elements = (0..count).map(|_| self.float()).collect::<Result<_, _>>()?;
        Ok((rows, columns, elements))
    }

    /// Returns the elements of a matrix that must have this shape and only finite elements.
    ///
    /// # Errors
    /// [`FormatError`]: no matrix, another shape, or an element that is not finite.
    pub fn matrix_f32(&mut self, rows: usize, columns: usize) -> Result<Vec<f32>, FormatError> {
        let start = self.clone();
        let (found_rows, found_columns, elements) = self.matrix()?;
        if (found_rows, found_columns) != (rows, columns) {
            let what = format!("a {found_rows} x {found_columns} matrix stands where {rows} x {columns} is expected");
            return Err(start.error(what));
        }
        let elements: Vec<f32> = elements.into_iter().map(|v| v as f32).collect();
        match elements.iter().all(|v| v.is_finite()) {
            true => Ok(elements),
            false => Err(start.error("a matrix holds a number that is not finite")),
        }
    }

    /// Returns a tensor's values, in the order samples, channels, rows, columns.
    ///
    /// # Errors
    /// [`FormatError`]: no tensor, or a value that is not finite.
    pub fn tensor(&mut self) -> Result<Vec<f32>, FormatError> {
        let start = self.clone();
        self.expect_int(2, "a tensor's version")?;
        let shape = self.shape()?;
        let bytes = shape.iter().try_fold(4usize, |product, &side| product.checked_mul(side));
        let Some(bytes) = bytes.filter(|&bytes| bytes <= self.remaining()) else {
            return Err(start.error(format!("a tensor of {shape:?} cannot be in {} bytes", self.remaining())));
        };
        let (values, _) = self.bytes(bytes)?.as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(start.error("a tensor holds a number that is not finite")),
        }
    }

    /// Returns the shape of an alias tensor, which is a view into another one and has no values.
    ///
    /// # Errors
    /// [`FormatError`]: no alias tensor.
    pub fn alias(&mut self) -> Result<Shape, FormatError> {
        self.expect_int(1, "an alias tensor's version")?;
        self.shape()
    }

    fn shape(&mut self) -> Result<Shape, FormatError> {
        Ok([self.size()?, self.size()?, self.size()?, self.size()?])
    }
}

/// Returns `mantissa * 2^exponent`, exact if the result is a normal number.
fn scale(mantissa: f64, exponent: i32) -> f64 {
    // One power of two may overflow although the product does not, so it is applied in two halves.
    let half = exponent / 2;
    mantissa * 2f64.powi(half) * 2f64.powi(exponent - half)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn int_bytes(value: i64) -> Vec<u8> {
        let magnitude = value.unsigned_abs().to_le_bytes();
        let length = magnitude.iter().rposition(|&byte| byte != 0).map_or(1, |last| last + 1);
        let sign = if value < 0 { 0x80 } else { 0 };
        [&[sign | length as u8], &magnitude[..length]].concat()
    }

    fn float_bytes(mantissa: i64, exponent: i64) -> Vec<u8> {
        [int_bytes(mantissa), int_bytes(exponent)].concat()
    }

    #[test]
    fn integers_have_a_sign_and_a_length() {
        assert_eq!(Reader::new("f", &[0x01, 0x00]).int(), Ok(0));
        assert_eq!(Reader::new("f", &[0x02, 0x2c, 0x01]).int(), Ok(300));
        assert_eq!(Reader::new("f", &[0x81, 0x05]).int(), Ok(-5));
    }

    #[test]
    fn an_integer_cut_short_or_too_long_names_file_and_offset() {
        let mut reader = Reader::new("net.dat", &[0x01, 0x07, 0x02, 0x2c]);
        assert_eq!(reader.int(), Ok(7));
        let error = reader.int().unwrap_err();
        assert_eq!((error.file.as_str(), error.offset), ("net.dat", 3));
        assert_eq!(error.to_string(), "net.dat: at byte 3: 2 more bytes were expected, 1 are left");
        for control in [0x00, 0x09, 0x0f, 0x71] {
            assert!(Reader::new("f", &[control; 20]).int().is_err(), "{control:#x}");
        }
        assert!(Reader::new("f", &[0x08, 255, 255, 255, 255, 255, 255, 255, 255]).int().is_err());
    }

    #[test]
    fn floats_are_mantissa_then_exponent() {
        assert_eq!(Reader::new("f", &float_bytes(3, -1)).float(), Ok(1.5));
        assert_eq!(Reader::new("f", &float_bytes(-1, 10)).float(), Ok(-1024.0));
        assert_eq!(Reader::new("f", &float_bytes(1, -1022)).float(), Ok(f64::MIN_POSITIVE));
        assert_eq!(Reader::new("f", &float_bytes((1 << 53) - 1, 971)).float(), Ok(f64::MAX));
        assert_eq!(Reader::new("f", &float_bytes(0, 32000)).float(), Ok(f64::INFINITY));
        assert_eq!(Reader::new("f", &float_bytes(0, 32001)).float(), Ok(f64::NEG_INFINITY));
        assert!(Reader::new("f", &float_bytes(0, 32002)).float().unwrap().is_nan());
        assert!(Reader::new("f", &float_bytes(1, 31999)).float().is_err());
        assert!(Reader::new("f", &float_bytes(0, 32000)).finite().is_err());
    }

    #[test]
    fn truth_values_are_characters() {
        assert_eq!(Reader::new("f", b"1").bool(), Ok(true));
        assert_eq!(Reader::new("f", b"0").bool(), Ok(false));
        assert!(Reader::new("f", &[1]).bool().is_err());
    }

    #[test]
    fn matrices_have_negative_sizes() {
        let bytes = [int_bytes(-1), int_bytes(-2), float_bytes(3, 0), float_bytes(5, -1)].concat();
        assert_eq!(Reader::new("f", &bytes).matrix(), Ok((1, 2, vec![3.0, 2.5])));
        assert!(Reader::new("f", &bytes).matrix_f32(2, 1).is_err());
        let huge = [int_bytes(i64::MIN + 1), int_bytes(-3), vec![0; 9]].concat();
        assert!(Reader::new("f", &huge).matrix().unwrap_err().what.contains("cannot be in 9 bytes"));
    }

    #[test]
    fn tensors_are_raw_little_endian() {
        let head = [int_bytes(2), int_bytes(1), int_bytes(2), int_bytes(1), int_bytes(1)].concat();
        let bytes = [head.clone(), 1.5f32.to_le_bytes().to_vec(), (-2f32).to_le_bytes().to_vec()].concat();
        let mut reader = Reader::new("f", &bytes);
        assert_eq!(reader.tensor(), Ok(vec![1.5, -2.0]));
        assert_eq!(reader.finish(), Ok(()));
        assert!(Reader::new("f", &bytes[..bytes.len() - 1]).tensor().is_err());
        let huge = [int_bytes(2), int_bytes(i64::MAX), int_bytes(4), int_bytes(1), int_bytes(1)].concat();
        assert!(Reader::new("f", &huge).tensor().is_err());
    }

    proptest! {
        #[test]
        fn integers_come_back(value in -i64::MAX..=i64::MAX) {
            prop_assert_eq!(Reader::new("f", &int_bytes(value)).int(), Ok(value));
        }

        #[test]
        fn every_f32_comes_back(value in any::<f32>().prop_filter("finite", |v| v.is_finite())) {
            let bits = value.abs().to_bits();
            let (fraction, exponent) = (i64::from(bits & 0x7f_ffff), i64::from(bits >> 23));
            let (mantissa, exponent) = if exponent == 0 { (fraction, -149) } else { (fraction | 0x80_0000, exponent - 150) };
            let mantissa = if value < 0.0 { -mantissa } else { mantissa };
            prop_assert_eq!(Reader::new("f", &float_bytes(mantissa, exponent)).finite(), Ok(value));
        }

        #[test]
        fn random_bytes_never_panic_and_never_yield_more_than_they_hold(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((_, _, elements)) = Reader::new("f", &bytes).matrix() {
                prop_assert!(elements.len() <= bytes.len());
            }
            if let Ok(values) = Reader::new("f", &bytes).tensor() {
                prop_assert!(values.len() * 4 <= bytes.len());
            }
            if let Ok(text) = Reader::new("f", &bytes).string() {
                prop_assert!(text.len() <= bytes.len());
            }
            let _ = Reader::new("f", &bytes).float();
        }
    }
}
