//! Times the nearest of 1,000, 100,000 and 1,000,000 embeddings, unrelated ones and ones like the face model's, beside a plain
//! scan: `cargo run --release -p attendance-matching --example nearest`. `cargo xtask bench` measures it beside FAISS.

use std::time::Instant;

use attendance_matching::{DIMENSIONS, Packed, instructions, nearest, squared_distance};

type Row = [f32; DIMENSIONS];

/// As many rows as the gallery keeps together.
const SEGMENT: usize = 4096;

fn pack(rows: &[Row]) -> Vec<Packed> {
    rows.chunks(SEGMENT).map(|rows| Packed::new(rows.to_vec())).collect()
}

fn find(segments: &[Packed], query: &Row) -> (usize, f32) {
    let found = nearest(segments, query).expect("there are rows");
    (found.segment * SEGMENT + found.row, found.squared_distance)
}

fn scan(rows: &[Row], query: &Row) -> (usize, f32) {
    let mut best = (0, f32::INFINITY);
    for (row, values) in rows.iter().enumerate() {
        let distance = squared_distance(query, values);
        if distance < best.1 {
            best = (row, distance);
        }
    }
    best
}

/// Normal numbers from a fixed seed.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 * 2f64.powi(-53)
    }

    fn normal(&mut self) -> f32 {
        // Twelve uniform numbers less six: near enough.
        ((0..12).map(|_| self.uniform()).sum::<f64>() - 6.0) as f32
    }

    /// Unrelated rows of the length that the face model gives: the nearest is far, which is the hardest.
    fn unrelated(&mut self) -> Row {
        std::array::from_fn(|_| 0.115 * self.normal())
    }

    /// What the face model gives: people who differ most in a few directions (0.85 apart), photographs of one person
    /// 0.35 apart.
    fn photo(&mut self, person: u64) -> Row {
        let mut who = Noise(person.wrapping_mul(0x2545_f491_4f6c_dd1d));
        std::array::from_fn(|j| {
            let spread = 0.125 / (1.0 + j as f32 / 16.0).sqrt();
            0.1 * (j % 3) as f32 + spread * who.normal() + 0.022 * self.normal()
        })
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    println!("{} instructions; microseconds, median", instructions());
    println!("{:>10} {:>10} {:>10} {:>10} {:>8} {:>6}", "rows", "kind", "nearest", "scan", "pack/row", "bytes");
    for (count, queries) in [(1_000, 2_000), (100_000, 400), (1_000_000, 100)] {
        for kind in ["unrelated", "photos"] {
            let mut noise = Noise(1);
            let mut row = |i: u64| if kind == "photos" { noise.photo(i % (count / 3)) } else { noise.unrelated() };
            let rows: Vec<Row> = (0..count).map(&mut row).collect();
            let start = Instant::now();
            let segments = pack(&rows);
            let packing = start.elapsed().as_secs_f64() * 1e6 / count as f64;
            let (mut ours, mut scans) = (Vec::new(), Vec::new());
            for i in 0..queries {
                // Every second one is of somebody who is not there.
                let query = row(if i % 2 == 0 { i * 7919 } else { u64::MAX - i });
                let start = Instant::now();
                let fast = find(&segments, &query);
                ours.push(start.elapsed().as_secs_f64() * 1e6);
                if i % 10 == 0 {
                    let start = Instant::now();
                    let exact = scan(&rows, &query);
                    scans.push(start.elapsed().as_secs_f64() * 1e6);
                    assert_eq!(fast, exact);
                }
            }
            let bytes = segments.iter().map(Packed::bytes).sum::<usize>() as f64 / count as f64;
            let (ours, scans) = (median(ours), median(scans));
            println!("{count:>10} {kind:>10} {ours:>10.1} {scans:>10.1} {packing:>8.2} {bytes:>6.0}");
        }
    }
}
