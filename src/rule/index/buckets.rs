//! Numbers sorted into buckets.

/// The numbers of each bucket, in two allocations whatever there are.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// Where the numbers of each bucket begin, and at the end where the last one's end.
    starts: Vec<u32>,
    numbers: Vec<u32>,
}

impl Buckets {
    /// Puts each number into its bucket, of which there are so many; 2^32 numbers at most.
    pub(super) fn of(count: usize, filed: impl Iterator<Item = (usize, u32)> + Clone) -> Self {
        let mut starts = vec![0_u32; count.saturating_add(1)];
        filed.clone().for_each(|(bucket, _)| {
            if let Some(start) = starts.get_mut(bucket) {
                *start = start.saturating_add(1);
            }
        });
        // How many there are becomes where they end; each number that is put down moves that towards the start.
        let mut end = 0_u32;
        for start in &mut starts {
            end = end.saturating_add(*start);
            *start = end;
        }
        let mut numbers = vec![0; usize::try_from(end).unwrap_or(0)];
        filed.for_each(|(bucket, number)| {
            let Some(start) = starts.get_mut(bucket) else {
                return;
            };
            *start = start.saturating_sub(1);
            if let Some(place) = numbers.get_mut(usize::try_from(*start).unwrap_or(usize::MAX)) {
                *place = number;
            }
        });
        Self { starts, numbers }
    }

    /// The numbers of a bucket, the last first.
    pub(super) fn get(&self, bucket: usize) -> &[u32] {
        let place = |bucket: usize| usize::try_from(*self.starts.get(bucket)?).ok();
        let range = place(bucket).zip(place(bucket.saturating_add(1)));
        let numbers = range.and_then(|(start, end)| self.numbers.get(start..end));
        numbers.unwrap_or_default()
    }

    /// All numbers.
    pub(super) fn all(self) -> Vec<u32> {
        self.numbers
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_number_is_in_its_bucket(filed in prop::collection::vec(0..9_usize, 0..40)) {
            let numbered = filed.iter().copied().zip(0..);
            let buckets = Buckets::of(9, numbered.clone());
            for bucket in 0..9 {
                let numbers = numbered.clone().filter(|(other, _)| *other == bucket);
                let mut numbers: Vec<u32> = numbers.map(|(_, number)| number).collect();
                numbers.reverse();
                prop_assert_eq!(buckets.get(bucket), numbers);
            }
            prop_assert!(buckets.get(9).is_empty() && Buckets::default().get(0).is_empty());
        }
    }
}
