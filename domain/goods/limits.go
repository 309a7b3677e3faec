package goods

const (
	// MaxIDBytes bounds the id of an order, a customer and the like. It has room
	// for a UUID with a prefix, and a stream name has room for it.
	MaxIDBytes = 128
	// MaxKeyBytes bounds an idempotency key, as receipts do.
	MaxKeyBytes = 255
	// MaxEmailBytes bounds an address, as RFC 5321 does.
	MaxEmailBytes = 254
	// MaxSKUBytes bounds an article code.
	MaxSKUBytes = 64
	// MaxDescriptionBytes bounds the description of a line, which may be empty.
	MaxDescriptionBytes = 500
	// MaxCountryBytes bounds the name of a country.
	MaxCountryBytes = 64
	// MaxReasonBytes bounds why something was done, such as a cancellation.
	MaxReasonBytes = 500
	// MaxQuantity bounds a quantity. Far above what a shop sells at once, it
	// leaves room to add up millions of them within the numbers JSON can carry.
	MaxQuantity = 1_000_000_000
	// MaxTotalMinor bounds what an order or a return amounts to, in minor units,
	// and thereby a price. Far above what a shop sells at once, it leaves room to
	// add up thousands of the largest: without it two orders could make the sales
	// of their day too large to be told.
	MaxTotalMinor = 1_000_000_000_000
	// MaxLines bounds the lines of an order or a return. Large real orders have
	// about 1,100.
	MaxLines = 2000
	// MaxLinesBytes bounds the article codes and descriptions of all lines
	// together. JSON may need six bytes for one; with that, an order that was
	// accepted, and its cancellation, stay below the 1 MiB an event may have.
	MaxLinesBytes = 128 << 10
)
