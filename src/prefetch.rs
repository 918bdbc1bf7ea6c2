//! Fetching from memory what will be needed soon: the one place with `unsafe` code.
#![expect(unsafe_code, reason = "the instruction has no safe name on x86-64")]

/// Bytes that a processor fetches at once.
const LINE: usize = 64;

/// Asks the processor to fetch `place`, and does not wait.
///
/// It is advice: nothing is read or written as far as a program can tell. On other processors than x86-64 it does
/// nothing.
#[inline]
pub(crate) fn prefetch<T>(place: &T) {
    for offset in (0..size_of::<T>()).step_by(LINE) {
        line(std::ptr::from_ref(place).cast::<i8>().wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn line(at: *const i8) {
    // SAFETY: PREFETCHT0 changes nothing but caches, and never faults: an address that cannot be fetched is passed
    // over (Intel SDM volume 2, PREFETCHh: "a hint … does not affect program behavior"). The instruction is part of
    // SSE, which every x86-64 has. No memory is accessed in the sense of the language, whatever `at` is.
    unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn line(_: *const i8) {}
