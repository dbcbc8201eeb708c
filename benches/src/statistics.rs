//! Medians and means.

/// The middle of the sorted values, or the mean of the two in the middle. `None` if there are none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = sorted[sorted.len() / 2 - 1];
    Some(f64::midpoint(lower, upper))
}

/// The mean by which ratios are averaged: that of inverted ratios is the inverse of theirs.
/// `None` if there are no values. They must be positive.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let sum_of_logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    Some((sum_of_logarithms / values.len() as f64).exp())
}

/// The greatest value: for times and ratios, the worst. `None` if there are none.
pub fn greatest(values: &[f64]) -> Option<f64> {
    values.iter().copied().max_by(f64::total_cmp)
}

/// The last half of the values, with the one in the middle of an odd number.
pub fn last_half<T>(values: &[T]) -> &[T] {
    &values[values.len() / 2..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_is_the_middle_one() {
        assert_eq!(median(&[5.0, 1.0, 3.0]), Some(3.0));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_ones() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 100.0]), Some(3.5));
    }

    #[test]
    fn one_outlier_does_not_move_the_median() {
        assert_eq!(median(&[2.0, 2.0, 1e9]), Some(2.0));
    }

    #[test]
    fn nothing_has_no_median_mean_or_greatest() {
        assert_eq!((median(&[]), geometric_mean(&[]), greatest(&[])), (None, None, None));
    }

    #[test]
    fn opposite_ratios_cancel_in_the_geometric_mean() {
        let mean = geometric_mean(&[0.25, 4.0, 1.0]).unwrap();
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
    }

    #[test]
    fn the_geometric_mean_of_one_value_is_the_value() {
        let mean = geometric_mean(&[3.5]).unwrap();
        assert!((mean - 3.5).abs() < 1e-12, "{mean}");
    }

    #[test]
    fn the_greatest_is_found_wherever_it_is() {
        assert_eq!(greatest(&[1.0, 7.5, 3.0]), Some(7.5));
    }

    #[test]
    fn the_last_half_keeps_the_middle() {
        assert_eq!(last_half(&[1, 2, 3, 4, 5]), [3, 4, 5]);
        assert_eq!(last_half(&[1, 2, 3, 4]), [3, 4]);
        assert_eq!(last_half(&[1]), [1]);
    }
}
