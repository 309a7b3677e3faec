package sample

import (
	"math/bits"
	"math/rand/v2"
	"strconv"
	"strings"
)

// article is something that the shop sells.
type article struct {
	sku         string
	description string
	pence       int
}

// What shops book as if it were goods.
var (
	extras = []article{
		{"POST", "POSTAGE", 450},
		{"GIFT WRAP", "Gift wrap", 150},
		{"card_0001_20", "Gift card £20", 2000},
		{"M", "Manual", 1295},
		{"m", "Manual", 125},
	}
	discount = article{"D", "Discount", 0}
)

// newCatalogue makes n articles up. The further in front, the more popular.
func newCatalogue(rng *rand.Rand, n int) []article {
	articles := make([]article, 0, n+1)
	for number := 20000; len(articles) < n; number += 1 + rng.IntN(4) {
		a := article{
			sku:         strconv.Itoa(number),
			description: describe(rng),
			pence:       19 + skewed(rng, 1000) + rng.IntN(100),
		}
		if rng.IntN(3) > 0 {
			articles = append(articles, a)
			continue
		}
		letter := string(rune('A' + rng.IntN(6)))
		articles = append(articles, article{a.sku + letter, a.description, a.pence})
		if rng.IntN(8) == 0 {
			articles = append(articles, article{a.sku + strings.ToLower(letter), a.description, a.pence})
		}
	}
	articles = articles[:n]
	rng.Shuffle(n, func(i, j int) { articles[i], articles[j] = articles[j], articles[i] })
	return articles
}

// describe makes a description up, with a stray space in it now and then.
func describe(rng *rand.Rand) string {
	thing := pick(rng, things)
	if rng.IntN(12) == 0 {
		thing = pick(rng, oddThings)
	}
	text := pick(rng, colours) + " " + pick(rng, materials) + " " + thing
	switch rng.IntN(24) {
	case 0:
		text += " "
	case 1:
		text = strings.Replace(text, " ", "  ", 1)
	case 2:
		text = " " + text
	}
	return text
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

// popular returns a number from 0 to n-1 of which the small ones are likely, as
// in skewed, but with a flat top: no article of a large shop, and no customer, has
// a tenth of all sales.
func popular(rng *rand.Rand, n int) int {
	const top = 32
	return (skewed(rng, (n+top-1)/top)*top + rng.IntN(top)) % n
}

// skewed returns a number from 0 to n-1 of which the small ones are likely: 0
// is as likely as 1 and 2 together, or 3 to 6. So the probability falls about
// as 1/(number+1), as that of words and of best sellers does.
func skewed(rng *rand.Rand, n int) int {
	low := 1 << rng.IntN(bits.Len(uint(n)))
	high := min(2*low, n+1)
	return low + rng.IntN(high-low) - 1
}
