//! Random choices that can be made again: the same seed gives the same ones.

/// A generator of numbers, for choosing moments and orders. No secret comes from it.
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Seeded {
        Seeded(seed)
    }

    /// The next number: splitmix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where that is 0. For the small numbers that it is used for all are as likely.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// One of the numbers from `start` up to, and without, `end`; `start` where there is none.
    pub fn between(&mut self, start: usize, end: usize) -> usize {
        let count = end.saturating_sub(start) as u64;
        start + usize::try_from(self.below(count)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_all_of_them_come() {
        // The first value for seed 0, from the reference code of splitmix64.
        assert_eq!(Seeded::new(0).next(), 0xe220_a839_7b1d_cdaf);
        let choose = |seed| {
            let mut random = Seeded::new(seed);
            (0..200).map(|_| random.between(3, 8)).collect::<Vec<_>>()
        };
        assert_eq!(choose(1), choose(1));
        assert_ne!(choose(1), choose(2));
        let all: std::collections::BTreeSet<_> = choose(1).into_iter().collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
        assert_eq!(Seeded::new(1).between(5, 5), 5);
    }
}
