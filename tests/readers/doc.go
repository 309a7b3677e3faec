// Package readers reads the shop's read models in all ways that users have, over and over, while
// somebody rebuilds them: no read may fail, and none may see less than one before it. The rows of
// the shop only become more and newer, so a read that mixes generations, or finds one that is not
// yet as far as the one before, goes back somewhere.
package readers
