package sample

// The words that descriptions are made of.
var (
	colours = []string{
		"AMBER", "ASH GREY", "BRICK", "CHALK", "COBALT", "FERN", "INDIGO", "MOSS", "OCHRE", "PLUM", "RUST", "SLATE", "TEAL",
	}
	materials = []string{
		"BAMBOO", "BEECH", "CERAMIC", "COPPER", "CORK", "ENAMEL", "FELT", "GLASS", "JUTE", "LINEN", "OAK", "TIN", "WOOL",
	}
	things = []string{
		"BIRD FEEDER", "BOOKENDS", "BREAD BIN", "BUTTER DISH", "COAT HOOK", "COLANDER", "DOOR STOP", "EGG BASKET",
		"FLOWER POT", "GARDEN TWINE", "JUG", "LETTER RACK", "MIXING BOWL", "NAPKIN RING", "OVEN GLOVE", "PEN TRAY",
		"PICNIC RUG", "PLANT LABEL", "RECIPE FILE", "SEED BOX", "SHOE BRUSH", "STOOL", "TEA CADDY", "WALL CLOCK",
		"WATERING CAN", "WINE RACK",
	}
	// oddThings try what has to get through CSV, JSON, SQL and URLs unharmed: quotes,
	// commas, and letters of other alphabets, one of them written in two ways.
	oddThings = []string{
		`RULER 12"`, "SET OF 3, NESTED TINS", "COOK'S APRON", "CAFÉ TRAY", "CAFE\u0301 TRAY", "MÜSLI BOWL",
		"SMØRREBRØD BOARD", "½ PINT MUG", "ŁÓDŹ PRINT", "茶 CANISTER", "SALT & PEPPER <PAIR>", "100% WOOL \\ SILK THROW",
	}
	// reasons are what people write beside an adjustment, if anything.
	reasons = []string{"", "", "", "?", "broken", "wet", "lost", "counted again"}
)

// countries are those that are not home, the frequent ones first.
var countries = []string{
	"Germany", "France", "EIRE", "Spain", "Norway", "Portugal", "Belgium", "Channel Islands", "Japan", "Côte d'Ivoire",
}

const homeCountry = "United Kingdom"
