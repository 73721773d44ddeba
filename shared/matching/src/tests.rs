use proptest::prelude::*;

use crate::block::BLOCK;
use crate::code::Codes;
use crate::kernel::SimdLevel;
use crate::search::{bar, nearest_on};
use crate::{DIMENSIONS, Nearest, Packed, nearest, squared_distance};

type Row = [f32; DIMENSIONS];

/// How the rows of a test spread.
#[derive(Debug, Clone, Copy)]
enum Spread {
    /// Nothing in common.
    Unrelated,
    /// Close around a few places.
    Clustered,
    /// Whole numbers from 0 to 2 in a few dimensions, the others equal: many rows equal, many equally near.
    Tied,
    /// Close together and far from zero.
    Distant,
    /// Everything between the smallest and the largest numbers that there are.
    Wild,
    /// So small that squares vanish.
    Tiny,
    /// One row in 50 is a thousand times longer.
    Outliers,
    /// Dimensions that differ a million times in size.
    Uneven,
    /// Distances overflow.
    Huge,
}

const SPREADS: [Spread; 9] = [
    Spread::Unrelated,
    Spread::Clustered,
    Spread::Tied,
    Spread::Distant,
    Spread::Wild,
    Spread::Tiny,
    Spread::Outliers,
    Spread::Uneven,
    Spread::Huge,
];

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn whole(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// -1 to 1, rather near to 0.
    fn number(&mut self) -> f32 {
        let uniform: f32 = (0..4).map(|_| (self.whole() >> 40) as f32 / (1u32 << 24) as f32).sum();
        uniform / 2.0 - 1.0
    }

    fn row(&mut self, spread: Spread) -> Row {
        let mut cluster = Dice(self.whole() % 5);
        let outlier = self.whole().is_multiple_of(50);
        std::array::from_fn(|j| match spread {
            Spread::Unrelated => self.number() * 0.3,
            Spread::Clustered => cluster.number() + self.number() * 0.01,
            Spread::Tied => {
                if j % 40 == 0 {
                    (self.whole() % 3) as f32
                } else {
                    1.0
                }
            }
            Spread::Distant => 1e4 + j as f32 + self.number() * 0.1,
            Spread::Wild => f32::from_bits(self.whole() as u32 & 0xbfff_ffff) * if outlier { 0.0 } else { 1.0 },
            Spread::Tiny => self.number() * if j % 2 == 0 { 1e-22 } else { 1e-43 },
            Spread::Outliers => self.number() * if outlier { 1000.0 } else { 1.0 },
            Spread::Uneven => self.number() * 10f32.powi(j as i32 % 7 - 3),
            Spread::Huge => self.number() * 3e38,
        })
        .map(|v: f32| if v.is_finite() { v } else { 1.0 })
    }

    fn rows(&mut self, spread: Spread, count: usize) -> Vec<Row> {
        (0..count).map(|_| self.row(spread)).collect()
    }
}

fn scan(segments: &[Packed], query: &Row) -> Option<Nearest> {
    let mut best: Option<Nearest> = None;
    for (segment, packed) in segments.iter().enumerate() {
        for (row, values) in packed.rows().iter().enumerate() {
            let squared_distance = squared_distance(query, values);
            if best.is_none_or(|best| squared_distance < best.squared_distance) {
                best = Some(Nearest { segment, row, squared_distance });
            }
        }
    }
    best
}

/// Rows like these, the rows themselves, and rows moved a little.
fn queries(dice: &mut Dice, spread: Spread, segments: &[Packed]) -> Vec<Row> {
    let mut queries = dice.rows(spread, 6);
    queries.push([0.0; DIMENSIONS]);
    queries.push(dice.row(Spread::Unrelated));
    let rows: Vec<&Row> = segments.iter().flat_map(Packed::rows).collect();
    for _ in 0..if rows.is_empty() { 0 } else { 6 } {
        let mut query = *rows[dice.whole() as usize % rows.len()];
        queries.push(query);
        let by = 10f32.powi(-(dice.whole() as i32 & 7));
        query.iter_mut().for_each(|v| *v *= 1.0 + by * dice.number());
        queries.push(query.map(|v| v.clamp(f32::MIN, f32::MAX)));
    }
    queries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_answer_is_that_of_a_scan(
        seed in any::<u64>(),
        sizes in prop::collection::vec(prop_oneof![0usize..5, 60usize..70, 0usize..400], 0..4),
    ) {
        let mut dice = Dice(seed);
        for spread in SPREADS {
            let segments: Vec<Packed> = sizes.iter().map(|count| Packed::new(dice.rows(spread, *count))).collect();
            for query in queries(&mut dice, spread, &segments) {
                let wanted = scan(&segments, &query);
                prop_assert_eq!(nearest(&segments, &query), wanted, "{:?}", spread);
                for level in SimdLevel::available() {
                    prop_assert_eq!(nearest_on(level, &segments, &query), wanted, "{:?} on {:?}", spread, level);
                }
            }
        }
    }

    #[test]
    fn all_instructions_see_the_same(seed in any::<u64>(), count in 1..3 * BLOCK) {
        let mut dice = Dice(seed);
        for spread in SPREADS {
            let codes = Codes::new(&dice.rows(spread, count));
            let Some(encoded) = codes.encode_query(&dice.row(spread)) else { continue };
            for block in codes.blocks() {
                let mut first = [0.0; BLOCK];
                let all = SimdLevel::available()[0].survivors(block, block, &encoded, f32::INFINITY, &mut first);
                // A limit in the middle of what is seen, so that some survive.
                let limit = first[dice.whole() as usize % all.count_ones() as usize];
                let wanted = SimdLevel::available()[0].survivors(block, block, &encoded, limit, &mut first);
                for level in SimdLevel::available() {
                    let mut seen = [0.0; BLOCK];
                    prop_assert_eq!(level.survivors(block, block, &encoded, limit, &mut seen), wanted, "{:?}", level);
                    prop_assert_eq!(seen.map(f32::to_bits), first.map(f32::to_bits), "{:?}", level);
                }
            }
        }
    }

    #[test]
    fn no_row_as_near_as_the_best_is_dropped(seed in any::<u64>(), count in 1..2 * BLOCK) {
        let mut dice = Dice(seed);
        for spread in SPREADS {
            let rows = dice.rows(spread, count);
            let codes = Codes::new(&rows);
            let mut queries = queries(&mut dice, spread, &[Packed::new(rows.clone())]);
            // Beyond a row on the line from its code: here the bound is as tight as it can be.
            for by in [1e-3, 0.1, 1.0, 30.0] {
                let row = dice.whole() as usize % count;
                let coded = codes.decoded(row);
                let along = |j: usize| f64::from(rows[row][j]) + by * (f64::from(rows[row][j]) - coded[j]);
                queries.push(std::array::from_fn(|j| (along(j) as f32).clamp(f32::MIN, f32::MAX)));
            }
            for query in queries {
                let Some(encoded) = codes.encode_query(&query) else { continue };
                for (i, row) in rows.iter().enumerate() {
                    let (block, at) = (&codes.blocks()[i / BLOCK], i % BLOCK);
                    let best = squared_distance(&query, row);
                    let mut seen = [0.0; BLOCK];
                    let limit = encoded.limit(bar(best, block.residual()));
                    let survivors = SimdLevel::detect().survivors(block, block, &encoded, limit, &mut seen);
                    prop_assert!(survivors >> at & 1 == 1, "{:?}: the pass drops row {}", spread, i);
                    let floor = encoded.floor(seen[at]);
                    prop_assert!(floor < bar(best, block.residual_of(at)), "{:?}: row {} by its own residual", spread, i);
                }
            }
        }
    }
}

#[test]
fn most_rows_are_never_compared() {
    let mut dice = Dice(1);
    let rows = dice.rows(Spread::Unrelated, 4096);
    let (codes, query) = (Codes::new(&rows), dice.row(Spread::Unrelated));
    let encoded = codes.encode_query(&query).expect("ordinary numbers");
    let best = rows.iter().map(|row| squared_distance(&query, row)).fold(f32::INFINITY, f32::min);
    let left: u32 = codes
        .blocks()
        .iter()
        .map(|block| {
            let limit = encoded.limit(bar(best, block.residual()));
            SimdLevel::detect().survivors(block, block, &encoded, limit, &mut [0.0; BLOCK]).count_ones()
        })
        .sum();
    assert!(left < 400, "{left} of 4096");
}

#[test]
fn more_rows_than_there_is_room_for_are_all_compared() {
    let mut rows = vec![[0.5; DIMENSIONS]; 12_000];
    rows[11_900][3] = 0.25;
    let segments: Vec<Packed> = rows.chunks(5_000).map(|rows| Packed::new(rows.to_vec())).collect();
    let query = [0.5; DIMENSIONS];
    let first = Nearest { segment: 0, row: 0, squared_distance: 0.0 };
    assert_eq!(nearest(&segments, &query), Some(first));
    let mut query = query;
    query[3] = 0.25;
    assert_eq!(nearest(&segments, &query), Some(Nearest { segment: 2, row: 1_900, squared_distance: 0.0 }));
    query[3] = 0.5 + 1e-3;
    assert_eq!(nearest(&segments, &query), scan(&segments, &query));
}

#[test]
fn where_every_distance_overflows_the_first_row_is_the_answer() {
    let segments = [Packed::new(Vec::new()), Packed::new(vec![[-3e38; DIMENSIONS]; 70])];
    let first = Nearest { segment: 1, row: 0, squared_distance: f32::INFINITY };
    assert_eq!(nearest(&segments, &[3e38; DIMENSIONS]), Some(first));
    assert_eq!(nearest(&segments[..1], &[3e38; DIMENSIONS]), None);
}

#[test]
fn a_row_takes_under_600_bytes() {
    let packed = Packed::new(Dice(1).rows(Spread::Unrelated, 4096));
    assert!(packed.bytes() < 600 * 4096, "{}", packed.bytes());
}
