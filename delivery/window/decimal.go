package window

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

const (
	// maxDigits bounds the digits of a number, before and behind the point together, with the zeros that an exponent adds.
	maxDigits = 60
	// avgDigits is to how many digits behind the point an average is rounded.
	avgDigits = 12
)

// Decimal is a number as JSON writes it, exactly. The zero value is 0.
type Decimal struct {
	unscaled big.Int
	// scale is how many digits are behind the point.
	scale int
}

var errNumber = errors.New("must be a number of at most 60 digits")

// ParseDecimal reads a number of JSON. It has at most 60 digits, with the zeros that its exponent stands for.
func ParseDecimal(text string) (d Decimal, err error) {
	digits, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if exponent, err = strconv.Atoi(text[i+1:]); err != nil || exponent > maxDigits || exponent < -maxDigits {
			return d, errNumber
		}
		digits = text[:i]
	}
	whole, part, _ := strings.Cut(digits, ".")
	d.scale = len(part) - exponent
	all := whole + part
	if d.scale < 0 {
		all, d.scale = all+strings.Repeat("0", -d.scale), 0
	}
	if len(strings.TrimLeft(all, "-0")) > maxDigits || d.scale > maxDigits {
		return d, errNumber
	}
	if small, err := strconv.ParseInt(all, 10, 64); err == nil {
		d.unscaled.SetInt64(small)
	} else if _, ok := d.unscaled.SetString(all, 10); !ok {
		return d, errNumber
	}
	return d, nil
}

// rescaled returns the unscaled value with so many digits behind the point, which are no fewer than it has.
func (d *Decimal) rescaled(scale int) *big.Int {
	if scale == d.scale {
		return &d.unscaled
	}
	return new(big.Int).Mul(&d.unscaled, power(scale-d.scale))
}

func power(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// add adds another number.
func (d *Decimal) add(o *Decimal) {
	scale := max(d.scale, o.scale)
	a, b := d.rescaled(scale), o.rescaled(scale)
	d.unscaled.Add(a, b)
	d.scale = scale
}

func (d *Decimal) cmp(o *Decimal) int {
	scale := max(d.scale, o.scale)
	return d.rescaled(scale).Cmp(o.rescaled(scale))
}

func (d *Decimal) clone() Decimal {
	var c Decimal
	c.unscaled.Set(&d.unscaled)
	c.scale = d.scale
	return c
}

// over returns the number divided by n, rounded half to even to avgDigits behind the point.
func (d *Decimal) over(n int64) Decimal {
	var q, r, twice big.Int
	by := big.NewInt(n)
	if d.scale > avgDigits { // all at once: rounded twice it would be another
		by.Mul(by, power(d.scale-avgDigits))
	}
	q.QuoRem(d.rescaled(max(avgDigits, d.scale)), by, &r)
	twice.Abs(&r).Lsh(&twice, 1)
	if c := twice.Cmp(by); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(&q, big.NewInt(int64(r.Sign())))
	}
	return Decimal{unscaled: q, scale: avgDigits}
}

// String returns the number without an exponent, and without zeros at the end of what is behind the point.
func (d Decimal) String() string {
	if d.scale == 0 {
		return d.unscaled.String()
	}
	text := d.unscaled.String()
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	if len(text) <= d.scale {
		text = strings.Repeat("0", d.scale-len(text)+1) + text
	}
	whole, part := text[:len(text)-d.scale], strings.TrimRight(text[len(text)-d.scale:], "0")
	if part == "" {
		return sign + whole
	}
	return sign + whole + "." + part
}

// MarshalText implements encoding.TextMarshaler.
func (d Decimal) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A sum may be longer than the numbers of which it is.
func (d *Decimal) UnmarshalText(text []byte) error {
	whole, part, _ := strings.Cut(string(text), ".")
	if _, ok := d.unscaled.SetString(whole+part, 10); !ok {
		return errNumber
	}
	d.scale = len(part)
	return nil
}
