//! Vectors of numbers, and the instructions of a kind of processor.

/// Numbers that are worked on at once. For the filters, which the compiler does not vectorize well by itself.
pub(super) trait Vector: Copy {
    /// How many.
    const LANES: usize;
    /// Whether the processor has thirty-two registers for them, not sixteen.
    const MANY_REGISTERS: bool;

    fn splat(value: f32) -> Self;
    /// The first of these numbers.
    fn load(values: &[f32]) -> Self;
    /// Them one by one.
    fn lanes(self) -> impl Iterator<Item = f32>;
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
}

/// What a kind of processor has.
pub(super) trait Instructions {
    /// At most eight numbers.
    type Narrow: Vector;
    /// At most sixteen numbers.
    type Wide: Vector;

    /// The bytes at these places, each below 16.
    fn pick(bytes: &[u8; 16], places: &[u8; 16]) -> [u8; 16];
}

/// Any processor.
pub(super) struct Portable;

impl Instructions for Portable {
    type Narrow = [f32; 8];
    type Wide = [f32; 8];

    #[inline(always)]
    fn pick(bytes: &[u8; 16], places: &[u8; 16]) -> [u8; 16] {
        places.map(|place| bytes[usize::from(place % 16)])
    }
}

impl<const N: usize> Vector for [f32; N] {
    const LANES: usize = N;
    const MANY_REGISTERS: bool = false;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        [value; N]
    }

    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        *values.first_chunk().expect("a whole vector")
    }

    #[inline(always)]
    fn lanes(self) -> impl Iterator<Item = f32> {
        self.into_iter()
    }

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for (a, b) in self.iter_mut().zip(other) {
            *a += b;
        }
        self
    }

    #[inline(always)]
    fn mul(mut self, other: Self) -> Self {
        for (a, b) in self.iter_mut().zip(other) {
            *a *= b;
        }
        self
    }
}
