//! Sets that keep the smallest values up to a bound, so that what they keep does not depend on the order in which it came.

use std::collections::BTreeSet;

/// What a value of that length takes in a tree: the tree's own share is about half as much again as the pointers in it.
pub(super) fn bytes_in_tree(len: usize) -> usize {
    len.saturating_add(3 * size_of::<usize>())
}

/// Puts a value into a set that holds `most` at most; `cut` becomes true where one had to stay out or to leave. Gives by
/// how many bytes the set grew.
pub(super) fn keep_smallest<T>(
    set: &mut BTreeSet<Box<T>>,
    value: &T,
    most: usize,
    cut: &mut bool,
) -> isize
where
    T: AsRef<[u8]> + Ord + ?Sized,
    for<'a> Box<T>: From<&'a T>,
{
    let bytes_of = |value: &T| bytes_in_tree(value.as_ref().len());
    let mut grown = 0_isize;
    if set.contains(value) {
        return 0;
    }
    if set.len() >= most {
        *cut = true;
        if set.last().is_none_or(|last| **last < *value) {
            return 0;
        }
        if let Some(last) = set.pop_last() {
            grown = grown.saturating_sub_unsigned(bytes_of(&last));
        }
    }
    set.insert(value.into());
    grown.saturating_add_unsigned(bytes_of(value))
}
