//! Any bytes as a decompressed 2.0 request: no panic, and where prost reads it too, the same samples
//! and native histograms; what is made of each two of these in a row is a number, or nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use sidelong::batch::{Batch, LabelSource, NativeHistogram};
use sidelong::signals::Native;
use sidelong::wire::generated::io::prometheus::write::v2::Request;
use sidelong::wire::remote_write::{ElementLimits, receive, v2};

fuzz_target!(|raw: &[u8]| {
    let (limits, mut batch, mut symbols) =
        (ElementLimits::default(), Batch::default(), v2::SymbolTable::new());
    batch.histograms.wanted = true;
    if v2::decode(raw, 7, &limits, &mut symbols, &mut batch).is_ok() {
        for span in &batch.series {
            v2::Labels { raw, symbols: &symbols }.for_each_label(&span.labels, &mut |_, _| ());
        }
        let mut read = NativeHistogram::default();
        let sums = batch.histograms.messages.iter().map(|at| {
            let read_it = v2::Labels { raw, symbols: &symbols }.read_histogram(at, 100, &mut read);
            read_it.is_ok().then_some((read.timestamp_ms, read.sum.to_bits()))
        });
        let sums: Vec<_> = sums.collect();
        // What the corridor makes of two in a row.
        let (native, mut before) = (Native::new(Vec::new(), true, true, Some(0.99)), None);
        for at in &batch.histograms.messages {
            let mut now = NativeHistogram::default();
            let read_it = v2::Labels { raw, symbols: &symbols }.read_histogram(at, 100, &mut now);
            if read_it.is_ok() {
                let made = before.as_ref().map(|before| native.between(before, &now));
                assert!(made.into_iter().flatten().flatten().all(f64::is_finite));
                before = Some(now);
            }
        }
        if let Ok(request) = Request::decode(raw) {
            let histograms = request.timeseries.iter().flat_map(|series| &series.histograms);
            let histograms: Vec<_> = histograms.map(|one| (one.timestamp, one.sum.to_bits())).collect();
            assert_eq!(sums.len(), histograms.len());
            assert!(sums.iter().zip(histograms).all(|(got, wanted)| got.is_none_or(|got| got == wanted)));
            let samples = request.timeseries.iter().flat_map(|series| &series.samples);
            let wanted: Vec<_> = samples.map(|sample| (sample.timestamp, sample.value.to_bits())).collect();
            let got = batch.samples.iter().map(|sample| (sample.timestamp_ms, sample.value.to_bits()));
            assert!(got.eq(wanted));
        }
    }
    if let Ok(receipt) = receive::v2(raw, 7, &limits, i64::MAX, &mut symbols, &mut batch) {
        assert_eq!(receipt.reason().is_none(), receipt.is_complete());
    }
});
