"""Writes tests/data/arima/arima.json: eleven series, and what statsmodels 0.15.0 makes of each.

    pip install statsmodels==0.15.0 numpy==2.4.6 scipy==1.17.1 pandas==3.1.1
    python tests/oracle/arima.py

The series are data sets that come with statsmodels and are in the public domain (see COPYRIGHT of each module in
statsmodels.datasets), and three simulated processes with fixed seeds.

The likelihood is the exact one of the series after it was differenced: the filter starts from the stationary distribution, the
variance of the innovations is concentrated out. So the series is differenced with numpy.diff, and ARIMA(p, 0, q) of
statsmodels, which then initialises itself as stationary, is fitted to it: with a constant, which is the mean, if the model has
one. That is SARIMAX(..., simple_differencing=True). NaN is a missing sample.
"""

import json
import pathlib
import warnings

import numpy as np
import statsmodels.api as sm
from statsmodels.tsa.arima.model import ARIMA
from statsmodels.tsa.arima_process import ArmaProcess
from statsmodels.tsa.stattools import kpss

HORIZON = 8


def dataset(name):
    return getattr(sm.datasets, name).load_pandas().data


def simulated(ar, ma, samples, seed, level=0.0, missing=()):
    """ar and ma as in the recursion of the series, without the leading 1."""
    process = ArmaProcess.from_coeffs(ar, ma)
    noise = np.random.default_rng(seed)
    series = level + process.generate_sample(samples, distrvs=noise.standard_normal, burnin=500)
    for start, end in missing:
        series[start:end] = np.nan
    return series


def catalogue():
    """Name, series, order, mean."""
    macro = dataset("macrodata")
    carbon = dataset("co2")["co2"].resample("MS").mean().interpolate().to_numpy()
    pacific = dataset("elnino").set_index("YEAR").to_numpy().ravel()
    yield "nile", dataset("nile")["volume"].to_numpy(), (1, 0, 1), True
    yield "nile_level", dataset("nile")["volume"].to_numpy(), (0, 1, 1), False
    yield "sunspots", dataset("sunspots")["SUNACTIVITY"].to_numpy(), (3, 0, 0), True
    yield "inflation", macro["infl"].to_numpy(), (1, 0, 2), True
    yield "unemployment", macro["unemp"].to_numpy(), (2, 0, 1), True
    yield "log_prices", 100 * np.log(macro["cpi"].to_numpy()), (0, 2, 2), False
    yield "carbon_dioxide", carbon, (2, 1, 1), False
    yield "pacific_temperature", pacific, (3, 0, 1), True
    yield "simulated_2_2_missing", simulated(
        [1.1, -0.5], [0.4, 0.3], 300, 20260101, level=50, missing=[(17, 18), (60, 75), (200, 203)]
    ), (2, 0, 2), True
    yield "simulated_4_1_1", np.cumsum(simulated([0.5, -0.2, 0.1, -0.4], [-0.6], 1000, 20260102)), (4, 1, 1), False
    yield "simulated_long", simulated([0.7], [0.4], 2000, 20260103, level=3), (1, 0, 1), True


def split(params, order, mean):
    p, _, q = order
    params = np.asarray(params)
    constant, rest = (params[0], params[1:]) if mean else (0.0, params)
    return {"ar": list(rest[:p]), "ma": list(rest[p : p + q]), "mean": float(constant)}


def point(result, order, mean):
    return split(result.params, order, mean) | {"sigma2": float(result.scale), "log_likelihood": float(result.llf)}


def integrated(series, differences, ahead, d):
    """One-step predictions, and those of the samples ahead, of the series from those of its differences.

    The level before a prediction is that of the samples before it, as predicted where they are missing.
    """
    levels, one_step = list(series[:d]), []
    for at, change in enumerate([*differences, *ahead]):
        base = {0: 0.0, 1: levels[-1] if d else 0.0, 2: 2 * levels[-1] - levels[-2] if d == 2 else 0.0}[d]
        one_step.append(base + change)
        known = d + at < len(series) and not np.isnan(series[d + at])
        levels.append(series[d + at] if known else one_step[-1])
    return one_step[: len(differences)], one_step[len(differences) :]


def fitted(model):
    """The optimum, as far as double precision goes: the best of several methods, each from the last one's end."""
    best = model.fit(cov_type="none", method_kwargs={"maxiter": 500})
    for method in ["nm", "bfgs", "nm", "bfgs"]:
        options = {"method": method, "maxiter": 20000, "disp": 0}
        options |= {"xtol": 1e-10, "ftol": 1e-13} if method == "nm" else {"gtol": 1e-9}
        again = model.fit(best.params, cov_type="none", method_kwargs=options)
        best = max(best, again, key=lambda result: result.llf)
    return best


def main():
    # An optimiser that starts at the optimum says that it got no further; kpss, that its table of p-values ends.
    warnings.simplefilter("ignore")
    fixtures = []
    for name, series, order, mean in catalogue():
        series = np.asarray(series, dtype=float)
        p, d, q = order
        differenced = np.diff(series, d)
        model = ARIMA(differenced, order=(p, 0, q), trend="c" if mean else "n", concentrate_scale=True)
        best = fitted(model)
        # Somewhere else, safely stationary and invertible: the same roots, further away.
        away = split(best.params, order, mean)
        away = {
            "ar": [ar * 0.8 ** (lag + 1) for lag, ar in enumerate(away["ar"])],
            "ma": [ma * 0.7 ** (lag + 1) for lag, ma in enumerate(away["ma"])],
            "mean": away["mean"] + (0.3 * np.nanstd(series) if mean else 0.0),
        }
        fixed = model.smooth(([away["mean"]] if mean else []) + away["ar"] + away["ma"])
        one_step, forecast = integrated(series, best.predict(), best.forecast(HORIZON), d)
        # statsmodels counts missing samples, too.
        observations = int(np.sum(~np.isnan(differenced)))
        parameters = p + q + mean + 1
        aicc = -2 * best.llf + 2 * parameters * observations / (observations - parameters - 1)
        if observations == len(differenced):
            assert np.isclose(aicc, best.aicc)
        seen = series[~np.isnan(series)]
        lags = int(3 * np.sqrt(len(seen)) / 13)
        statistic = kpss(seen, regression="c", nlags=lags)[0]
        fixtures.append(
            {
                "name": name,
                "order": order,
                "mean": mean,
                "series": [None if np.isnan(value) else float(value) for value in series],
                "fixed": point(fixed, order, mean),
                "fitted": point(best, order, mean),
                "aicc": float(aicc),
                "bic": float(-2 * best.llf + parameters * np.log(observations)),
                "one_step": [float(value) for value in one_step],
                "forecast": [float(value) for value in forecast],
                "kpss": {"lags": lags, "statistic": float(statistic)},
            }
        )
        print(f"{name:24} {order} n={observations:5} loglike={best.llf:.6f} {split(best.params, order, mean)}")
    path = pathlib.Path(__file__).parents[1] / "data" / "arima" / "arima.json"
    path.write_text("[\n" + ",\n".join(json.dumps(fixture) for fixture in fixtures) + "\n]\n")


if __name__ == "__main__":
    main()
