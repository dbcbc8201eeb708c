//! The generator behind `math.random`: xoshiro256**, seeded and projected as Lua 5.4 does it, so that a seed gives the same
//! numbers. Pure.
//!
//! D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47(4), 2021.

/// Numbers that are thrown away after seeding, so that similar seeds go apart.
const DISCARDED: u32 = 16;

/// The state of a generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generator {
    state: [u64; 4],
}

impl Default for Generator {
    /// Seeded from the time and an address.
    fn default() -> Self {
        let [first, second] = Generator::random_seed();
        Generator::new(first, second)
    }
}

impl Generator {
    /// A generator with a seed.
    pub fn new(first: i64, second: i64) -> Generator {
        let mut generator = Generator { state: [first as u64, 0xff, second as u64, 0] };
        for _ in 0..DISCARDED {
            generator.next_u64();
        }
        generator
    }

    /// A seed that differs from run to run.
    pub fn random_seed() -> [i64; 2] {
        let now = std::time::SystemTime::now();
        let time = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let place = Box::new(0u8);
        [time.as_nanos() as i64, std::ptr::from_ref(&*place) as i64]
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [s0, s1, s2, s3] = self.state;
        let result = s1.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let s2 = s2 ^ s0;
        let s3 = s3 ^ s1;
        self.state = [s0 ^ s3, s1 ^ s2, s2 ^ (s1 << 17), s3.rotate_left(45)];
        result
    }

    /// A float in `[0, 1)`.
    #[inline]
    pub fn float(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (0.5 / (1u64 << 52) as f64)
    }

    /// An integer in `[low, high]`. `low` must not be above `high`.
    #[inline]
    pub fn int(&mut self, low: i64, high: i64) -> i64 {
        let bits = self.next_u64();
        let span = (high as u64).wrapping_sub(low as u64);
        (low as u64).wrapping_add(self.project(bits, span)) as i64
    }

    /// Some bits as a number in `[0, limit]`: those under a mask of ones, drawn again until they are in range.
    fn project(&mut self, mut bits: u64, limit: u64) -> u64 {
        if limit & limit.wrapping_add(1) == 0 {
            return bits & limit;
        }
        let mask = u64::MAX >> limit.leading_zeros();
        loop {
            bits &= mask;
            if bits <= limit {
                return bits;
            }
            bits = self.next_u64();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_lua() {
        // lua5.4 -e 'math.randomseed(42) print(math.random(0), math.random(), math.random(10), math.random(-5, 5))'
        let mut generator = Generator::new(42, 0);
        assert_eq!(generator.next_u64() as i64, -1276290044721465627);
        assert_eq!(format!("{:.14}", generator.float()), "0.45178389935924");
        assert_eq!(generator.int(1, 10), 6);
        assert_eq!(generator.int(-5, 5), 0);
        assert!((i64::MIN..=i64::MAX).contains(&generator.int(i64::MIN, i64::MAX)));
        assert_eq!(generator.int(7, 7), 7);
    }
}
